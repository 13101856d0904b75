package scenario

import "errors"

func freeze(int) error { return errors.New("this system cannot freeze a process (SIGSTOP)") }
