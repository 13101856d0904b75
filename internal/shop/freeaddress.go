package shop

// FreeAddress is a free address on the loopback interface, from the range that
// parts are given other ports from. Nothing holds it: whoever asks takes it soon.
func FreeAddress() (string, error) {
	p, err := holdPort(0)
	if err != nil {
		return "", err
	}
	p.release()
	return p.address(), nil
}
