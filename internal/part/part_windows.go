package part

import "os"

var (
	stopSignals   = []os.Signal{os.Interrupt}
	orphanSignals []os.Signal
)

func ignoreBrokenPipes() {}
