package proctree

import "os"

// Freeze returns [ErrUnsupported].
func Freeze(int) error { return ErrUnsupported }

// Thaw does nothing: no process is frozen.
func Thaw(int) error { return nil }

// Kill ends the root.
func Kill(root int) error {
	p, err := os.FindProcess(root)
	if err != nil {
		return err
	}
	return p.Kill()
}
