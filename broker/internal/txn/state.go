package txn

// State is where a transactional id stands. Numbers and names are Kafka's, as records
// and tools have them.
type State uint8

const (
	// Empty: initialised, no transaction yet.
	Empty State = iota
	// Ongoing: partitions have been added.
	Ongoing
	// PrepareCommit: decided, the markers are on their way.
	PrepareCommit
	// PrepareAbort: the same for an abort.
	PrepareAbort
	// CompleteCommit: every partition has its marker.
	CompleteCommit
	// CompleteAbort: the same for an abort.
	CompleteAbort
	// Dead: expired. The caller forgets the id.
	Dead
	// PrepareEpochFence is known to tools and never stored.
	PrepareEpochFence
)

var stateNames = [...]string{
	"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence",
}

func (s State) String() string { return stateNames[s] }

// ParseState finds a state by its name.
func ParseState(name string) (State, bool) {
	for s, n := range stateNames {
		if n == name {
			return State(s), true
		}
	}
	return 0, false
}

// Stored tells whether a record may have the state.
func (s State) Stored() bool { return s <= CompleteAbort }

// prepared tells whether markers are on their way.
func (s State) prepared() bool { return s == PrepareCommit || s == PrepareAbort }

// idle tells whether no transaction is open or being ended.
func (s State) idle() bool { return s == Empty || s == CompleteCommit || s == CompleteAbort }
