package supervise

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxLine caps one line of output; a longer one is handed on in pieces.
const maxLine = 64 << 10

// readLines calls line for each line of r, without its end, until r ends. The
// slice is only valid during the call.
func readLines(r io.Reader, line func([]byte)) {
	br := bufio.NewReaderSize(r, maxLine)
	for {
		b, err := br.ReadSlice('\n')
		if len(b) > 0 {
			line(bytes.TrimRight(b, "\r\n"))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}
