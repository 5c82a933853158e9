package config

import (
	"slices"
	"strings"
)

// Redacted stands in the place of a secret.
const Redacted = "******"

// secretParts are found anywhere in a key; secretWords must be its last word.
// They are Flink's list and a few more.
var (
	secretParts = []string{"password", "passwd", "passphrase", "secret", "token", "apikey", "api-key", "access-key", "access.key",
		"account.key", "private-key", "service-key", "auth-params", "basic-auth", "jaas.config", "http-headers", "credential"}
	secretWords = []string{"key", "keys", "pwd"}
)

// Secret reports whether a key's value must not be shown.
func Secret(key string) bool {
	key = strings.ToLower(strings.ReplaceAll(key, "_", "-"))
	if slices.ContainsFunc(secretParts, func(p string) bool { return strings.Contains(key, p) }) {
		return true
	}
	last := key[strings.LastIndexAny(key, ".-")+1:]
	return slices.Contains(secretWords, last)
}

// Redact returns the value as it may be shown and stored: secrets replaced as
// a whole, the user information of an address alone.
func Redact(key, value string) string {
	if value == "" {
		return value
	}
	if Secret(key) {
		return Redacted
	}
	scheme, rest, ok := strings.Cut(value, "://")
	if !ok {
		return value
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		return scheme + "://" + Redacted + rest[at:]
	}
	return value
}
