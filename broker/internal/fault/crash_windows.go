package fault

import "os"

// crash ends the process, and nothing that is deferred runs. The code is a shell's for SIGKILL.
func crash() { os.Exit(137) }
