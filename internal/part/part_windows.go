package part

import "os"

var stopSignals = []os.Signal{os.Interrupt}

func ignoreBrokenPipes() {}
