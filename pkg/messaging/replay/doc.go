// Package replay builds a service's state anew from the log: what every service has
// in common there. What the state is made of is the service's own business
// (services/NAME/rebuild).
//
//	Open    the group is idle, the topics are complete, the start lies within them;
//	        nothing has been changed, and nothing is if one of these does not hold
//	Run     reads the topics, each up to where it is known that the service was, and
//	        hands the records to the service in batches; the group's offsets are set
//	        last, in one request
//
// A record is one of four things to the group:
//
//	handled     below the group's committed offset: its effect was there, so the
//	            service stores it without doing it again (a mail is noted, not sent)
//	unfinished  handled, but given up or put off: a dead letter that nobody has sent
//	            anew with success, a try that waits in the group's retry topic. Its
//	            effect was never there, and will come from where it waits
//	to come     from the committed offset on: the service gets it when it runs again
//	lost        handled, but of the effect there is no trace: the service has it
//	            delivered again, see Replay.Again
//
// Everything that is stored is stored in a way that a second time changes nothing, so a
// replay that was killed is run again, from its beginning.
package replay
