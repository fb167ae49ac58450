// Package migrations embeds the schema: goose files, one folder a dialect. They
// are the only DDL there is; sqlc reads them as its schema.
package migrations

import "embed"

// FS holds the folders postgres and sqlite.
//
//go:embed postgres/*.sql sqlite/*.sql
var FS embed.FS
