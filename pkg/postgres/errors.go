package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATE codes, see the appendix "PostgreSQL Error Codes".
const (
	codeSerializationFailure = "40001"
	codeDeadlock             = "40P01"
	codeLockNotAvailable     = "55P03"
	codeObjectInUse          = "55006"
	codeUniqueViolation      = "23505"
	codeQueryCanceled        = "57014"
	codeDuplicateObject      = "42710"
	codeDuplicateDatabase    = "42P04"
	codeInvalidCatalog       = "3D000"

	classData                 = "22"
	classIntegrity            = "23"
	classConnection           = "08"
	classInsufficientResource = "53"
	classOperatorIntervention = "57"
	classSystem               = "58"
)

// IsTransient tells whether the same statement may work later: the connection broke,
// the server is starting or full, a lock or a serialization was in the way, a time
// limit was over.
func IsTransient(err error) bool {
	if err == nil {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case codeSerializationFailure, codeDeadlock, codeLockNotAvailable, codeObjectInUse, codeQueryCanceled:
			return true
		}
		switch pg.Code[:min(2, len(pg.Code))] {
		case classConnection, classInsufficientResource, classOperatorIntervention, classSystem:
			return true
		}
		return false
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) ||
		pgconn.SafeToRetry(err) || pgconn.Timeout(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, context.DeadlineExceeded)
}

// IsUniqueViolation tells whether err is the breach of the named unique constraint;
// an empty name means any.
func IsUniqueViolation(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == codeUniqueViolation &&
		(constraint == "" || pg.ConstraintName == constraint)
}

// IsMissingDatabase tells whether there is no database of that name on the server.
func IsMissingDatabase(err error) bool { return hasCode(err, codeInvalidCatalog) }

// IsDataError tells whether the database refuses the data of a statement: a value that
// has no form there or is out of range, or a constraint that does not hold. The same
// data will be refused again.
func IsDataError(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	class := pg.Code[:min(2, len(pg.Code))]
	return class == classData || class == classIntegrity
}

// isConflict tells whether Postgres asks to run the transaction again.
func isConflict(err error) bool { return hasCode(err, codeSerializationFailure, codeDeadlock) }

func hasCode(err error, codes ...string) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	for _, code := range codes {
		if pg.Code == code {
			return true
		}
	}
	return false
}
