// Package config reads scheduler-config.json (or YAML of the same shape) and
// answers with a Config that is right, or with everything that is wrong.
//
// The types below are the only description of the file there is: their tags
// drive the decoder, the JSON Schema, the environment variables and the list of
// fields that the documentation is tested against. Layers are merged in this
// order, the later winning: built-in values, the file (or the built-in demo),
// PARKINGLOT_… variables, flags.
//
// A fault never hides another one: values of the wrong type, unknown fields and
// broken rules are gathered, each with its path ("pools[2].max_units"). What the
// package does not do: open anything, or decide what happens when a stored pool
// differs from the file (package app does).
package config
