package group

// State is where a group stands. The names are Kafka's, as tools print them.
type State uint8

const (
	// Empty: no members. Offsets may be kept, and anyone may commit them.
	Empty State = iota
	// PreparingRebalance: the members are being asked to join again.
	PreparingRebalance
	// CompletingRebalance: all have joined, the leader's assignment is awaited.
	CompletingRebalance
	// Stable: every member has its assignment.
	Stable
	// Dead: deleted. The caller forgets the group.
	Dead
	// Assigning: a new target assignment is due (consumer groups).
	Assigning
	// Reconciling: members are on their way to the target assignment (consumer groups).
	Reconciling
)

var stateNames = [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Assigning", "Reconciling"}

func (s State) String() string { return stateNames[s] }

// canRebalance tells whether PreparingRebalance may follow s.
func (s State) canRebalance() bool {
	return s == Empty || s == Stable || s == CompletingRebalance
}
