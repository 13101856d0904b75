// Package acl decides what a client may do, by Kafka's rules (KIP-11, KIP-290, KIP-504). It is pure: bindings and a question go
// in, yes or no comes out.
//
// A [Binding] lets a principal do an operation on resources, or forbids it: on one by its name, on all whose names begin alike, or
// on all of a type. [Rules] are the bindings that hold, in a form that answers quickly. Of the bindings that match the
// resource:
//
//	1  one DENY for the client and the operation    no
//	2  one ALLOW for the client and the operation   yes
//	3  bindings, but none for this client           no
//	4  no binding at all                            no, or yes with allow.everyone.if.no.acl.found
//
// To be allowed to READ, WRITE, DELETE or ALTER is to be allowed to DESCRIBE, and ALTER_CONFIGS brings DESCRIBE_CONFIGS. To be
// forbidden one forbids nothing else. Super users are asked for before all this, by [Authorizer].
package acl
