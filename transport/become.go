package transport

// Become says how and as whom a command is run instead of as the login's user. Its zero
// value is: not at all.
type Become struct {
	Method   string // "sudo", "su" or "doas"; "" is none
	User     string // "" is root
	Password string // "" is none: the method must not ask
	Exe      string // "" is the method's name
	// Flags are further flags, split as a shell would; as in Ansible, "" is -H -S -n for
	// sudo.
	Flags string
}
