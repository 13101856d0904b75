package wire

// Caps bounds a request's size by its key, before a byte of its body is read.
//
// kmsg allocates an array as soon as its length field is read, and can only
// check that length against the bytes that are left: a hostile request costs up
// to about 250 times its size for the short time of decoding. Produce is taken
// apart by ParseProduce, which has no such factor, and may be as large as
// socket.request.max.bytes. All others get caps that real clients stay far below.
type Caps struct {
	Produce int // socket.request.max.bytes
}

const (
	keyProduce = 0

	defaultCap  = 1 << 20
	decodeCost  = 256 // worst bytes allocated by decoding one byte of a request
	residentFor = 16  // bytes that one byte of a sound decoded request occupies
)

// capByKey lists the keys whose requests are long with many partitions or members.
var capByKey = map[int16]int{
	1:  4 << 20, // Fetch: about 80,000 partitions
	2:  2 << 20, // ListOffsets
	3:  2 << 20, // Metadata: about 40,000 topics of 50 letters
	8:  4 << 20, // OffsetCommit: metadata of up to 4 KiB a partition
	9:  2 << 20, // OffsetFetch
	11: 2 << 20, // JoinGroup: subscriptions with user data
	14: 8 << 20, // SyncGroup: the leader sends every member's assignment
	28: 4 << 20, // TxnOffsetCommit
}

// For returns the largest size that a request of this key may have.
func (c Caps) For(key int16) int {
	if key == keyProduce {
		return c.Produce
	}
	n, ok := capByKey[key]
	if !ok {
		n = defaultCap
	}
	return min(n, c.Produce)
}

// Cost returns what reading and decoding a request of this size may occupy.
func (c Caps) Cost(key int16, size int) int64 {
	if key == keyProduce {
		return int64(size)
	}
	return int64(size) * decodeCost
}

// Resident returns what a decoded request is counted as while it is handled.
func (c Caps) Resident(key int16, size int) int64 {
	if key == keyProduce {
		return int64(size)
	}
	return int64(size) * residentFor
}
