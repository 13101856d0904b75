// Command inventory is the inventory service. Its settings are environment
// variables: see README.md in services/inventory.
package main

import (
	"os"

	"millrace/pkg/service"
	"millrace/services/inventory/app"
)

func main() { os.Exit(service.Main(os.Environ(), os.Stderr, app.Run)) }
