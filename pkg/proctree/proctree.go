// Package proctree stops, continues and kills a process together with everything that
// it has started. A signal to the process group is not enough for that: Postgres puts
// each of its children into a group, and a session, of its own.
//
// Whoever calls it must be the parent of the root, or know otherwise that the process id
// is still that of the process that is meant. On Windows only Kill works, and ends the
// root alone.
package proctree

import "errors"

// ErrUnsupported is returned where the system cannot hold a process.
var ErrUnsupported = errors.New("processes cannot be frozen on this system")
