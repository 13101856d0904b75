// Package fault makes things go wrong where the code says that they may: a handler
// that fails three times, a commit whose answer is lost, a process that dies between
// its effect and its acknowledgement. Nothing happens unless somebody asks for it.
//
// A place in the code is a [Point]. It costs one branch while faults are off, and one
// more and an atomic load while they are on and no rule is set:
//
//	if err := faults.Hit(ctx, fault.EffectBeforeCommit, fault.Attr{Key: fault.OrderID, Value: id}); err != nil {
//		return err
//	}
//
// A [Rule] says what happens at a point, how often and to what:
//
//	effect.before-commit=error,times=3,match.product_id=kettle
//
// A program makes one [Set] of the points that it has, or none: a nil *Set is valid,
// never fires and takes no rules. Rules come in by [ParseRules] (the variable FAULTS)
// and by package faultapi (HTTP). Every firing is logged and reported to the
// program's metrics before it takes effect.
//
// The package needs the standard library only.
package fault
