package config

import "strings"

// expand replaces $NAME and ${NAME} by variables of the environment and $$ by a
// dollar sign. A dollar sign before anything else stays. It returns the names
// that have no value; an empty value is one.
func expand(s string, env map[string]string) (expanded string, missing []string) {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(s, "$")
		out.WriteString(before)
		if !found {
			return out.String(), missing
		}
		name, rest := variable(after)
		switch {
		case strings.HasPrefix(after, "$"):
			out.WriteByte('$')
			rest = after[1:]
		case name == "":
			out.WriteByte('$')
		default:
			value, ok := env[name]
			if !ok {
				missing = append(missing, name)
			}
			out.WriteString(value)
		}
		s = rest
	}
}

// variable splits the name of a variable off the text behind a dollar sign.
func variable(s string) (name, rest string) {
	if inner, ok := strings.CutPrefix(s, "{"); ok {
		name, after, closed := strings.Cut(inner, "}")
		if !closed || nameLength(name) != len(name) {
			return "", s
		}
		return name, after
	}
	n := nameLength(s)
	return s[:n], s[n:]
}

func nameLength(s string) int {
	for i, c := range []byte(s) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		digit := '0' <= c && c <= '9'
		if !letter && (!digit || i == 0) {
			return i
		}
	}
	return len(s)
}

// expandAt expands a value of the file in place and notes what is missing.
func (c *checker) expandAt(path string, value *string) {
	expanded, missing := expand(*value, c.env)
	for _, name := range missing {
		c.faultf(path, nil, "uses $%s, which is not set in the environment (write $$ for a dollar sign)", name)
	}
	*value = expanded
}
