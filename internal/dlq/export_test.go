package dlq

// Hostile is for the tests with a broker.
func Hostile() map[string]string { return hostile() }
