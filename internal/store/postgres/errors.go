package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parkinglot/parkinglot/internal/store"
)

// SQLSTATEs that mean something of their own here.
const (
	codeGuard            = "PL001" // pl_expect
	codeLockNotAvailable = "55P03"
	codeDeadlock         = "40P01"
	codeSerialization    = "40001"
	codeCancelled        = "57014" // statement_timeout, or our own cancel request
	codeIdleInTx         = "25P03"
	codeReadOnly         = "25006" // a standby, after a failover
	codeCheck            = "23514"
	codeUnique           = "23505"
	codeUndefinedTable   = "42P01"
	codeUndefinedColumn  = "42703"
	codeUndefinedFunc    = "42883"
	codeNoSchema         = "3F000"
)

// classify wraps err with what was being done and the error of the seam it is; nil
// stays nil.
//
// The CHECK on a pool's capacity is ErrData like every other: turning again would
// ask for the same, so the request that is the cause must be found, or the pool
// be reported ill. A key that is taken is another matter in a turn; see turn.failed.
func classify(what string, err error) error {
	if err == nil {
		return nil
	}
	kind := kindOf(err)
	if kind == nil || errors.Is(err, kind) {
		return fmt.Errorf("postgres: %s: %w", what, err)
	}
	return fmt.Errorf("postgres: %s: %w: %w", what, kind, err)
}

func kindOf(err error) error {
	for _, kind := range []error{
		store.ErrUnavailable, store.ErrCommitUnknown, store.ErrData, store.ErrGuard, store.ErrNotFound, store.ErrSchema,
	} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return store.ErrNotFound
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return kindOfCode(pg)
	}
	if lost(err) {
		return store.ErrUnavailable
	}
	return nil
}

func kindOfCode(pg *pgconn.PgError) error {
	switch pg.Code {
	case codeGuard, codeLockNotAvailable, codeDeadlock, codeSerialization:
		return store.ErrGuard
	case codeCancelled, codeIdleInTx, codeReadOnly:
		return store.ErrUnavailable
	case codeUndefinedTable, codeUndefinedColumn, codeUndefinedFunc, codeNoSchema:
		return store.ErrSchema
	}
	switch pg.Code[:2] {
	case "08", "53", "57", "58", "XX": // connection, resources, shutdown, system, internal
		return store.ErrUnavailable
	case "22", "23", "54": // data, constraints, limits
		return store.ErrData
	}
	return nil
}

// lost reports whether err came from the way to the server rather than from it.
func lost(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "closed pool")
}

// hasCode reports whether err is an error of the server with one of the codes.
func hasCode(err error, codes ...string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains(codes, pg.Code)
}

// noPartition reports whether an audit event had no partition to go to.
func noPartition(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == codeCheck && pg.ConstraintName == "" &&
		strings.HasPrefix(pg.TableName, "pl_audit_")
}
