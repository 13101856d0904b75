// Command millrace is the whole project in one program: it starts the shop
// (`millrace up`), is each part of it, and has the tools to use it.
package main

import (
	"context"
	"os"

	"millrace/internal/terminal"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], &program{
		stdin:   os.Stdin,
		stdout:  terminal.Detect(os.Stdout, os.Getenv),
		stderr:  terminal.Detect(os.Stderr, os.Getenv),
		environ: os.Environ(),
	}))
}
