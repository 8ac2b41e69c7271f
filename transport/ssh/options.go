package ssh

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"orch/transport"
)

// kind says what becomes of an option.
type kind int

const (
	used   kind = iota + 1
	inert       // without effect here, by design: see the table
	notArg      // of files without effect; refused as an argument, where somebody wants it now
	no          // refused unless its value turns it off
)

// keywords are the options of OpenSSH's client.
var keywords = sync.OnceValue(func() map[string]kind {
	table := map[string]kind{}
	for k, names := range map[kind]string{
		used: `User Port HostName IdentityFile IdentitiesOnly IdentityAgent CertificateFile ProxyJump ProxyCommand
			ForwardAgent StrictHostKeyChecking UserKnownHostsFile GlobalKnownHostsFile HostKeyAlias ConnectTimeout
			ConnectionAttempts ServerAliveInterval ServerAliveCountMax PasswordAuthentication
			KbdInteractiveAuthentication ChallengeResponseAuthentication PubkeyAuthentication
			PreferredAuthentications BindAddress AddressFamily HostKeyAlgorithms KexAlgorithms Ciphers MACs
			HashKnownHosts IgnoreUnknown`,
		// One connection is shared for the whole run (Control*), nobody is asked (BatchMode),
		// nothing is printed (LogLevel), and hosts come with the environment of their login.
		inert: `AddKeysToAgent BatchMode CASignatureAlgorithms CheckHostIP ChannelTimeout Compression CompressionLevel ControlMaster
			ControlPath ControlPersist EnableEscapeCommandline EnableSSHKeysign EscapeChar FingerprintHash
			GSSAPIAuthentication GSSAPIDelegateCredentials GSSAPIKeyExchange GSSAPIRenewalForcesRekey GSSAPITrustDns
			GSSAPIClientIdentity GSSAPIServerIdentity GSSAPIKexAlgorithms
			HostbasedAcceptedAlgorithms HostbasedKeyTypes IPQoS KbdInteractiveDevices LogLevel LogVerbose
			NoHostAuthenticationForLocalhost NumberOfPasswordPrompts ObscureKeystrokeTiming Protocol
			PubkeyAcceptedAlgorithms PubkeyAcceptedKeyTypes RekeyLimit RequestTTY RequiredRSASize
			RSAAuthentication RhostsRSAAuthentication SendEnv SessionType SetEnv StdinNull SyslogFacility Tag
			TCPKeepAlive UpdateHostKeys UseKeychain UsePrivilegedPort VerifyHostKeyDNS VisualHostKey
			CanonicalizeFallbackLocal CanonicalizeMaxDots CanonicalizePermittedCNAMEs CanonicalDomains UseRoaming`,
		notArg: `ClearAllForwardings DynamicForward ExitOnForwardFailure ForkAfterAuthentication ForwardX11
			ForwardX11Timeout ForwardX11Trusted GatewayPorts LocalCommand LocalForward PermitLocalCommand
			PermitRemoteOpen RemoteCommand RemoteForward StreamLocalBindMask StreamLocalBindUnlink Tunnel
			TunnelDevice XAuthLocation`,
		no: `BindInterface CanonicalizeHostname HostbasedAuthentication KnownHostsCommand PKCS11Provider
			ProxyUseFdpass RevokedHostKeys SecurityKeyProvider SmartcardDevice`,
	} {
		for name := range strings.FieldsSeq(names) {
			table[strings.ToLower(name)] = k
		}
	}
	return table
})

// many are the options that add up; of the others the first value counts.
var many = []string{"identityfile", "certificatefile"}

// options are settings by lower-case keyword.
type options struct {
	values map[string][]setting
	file   string // -F
}

type setting struct{ text, from string }

func (o *options) set(key, text, from string) {
	if len(o.values[key]) == 0 || slices.Contains(many, key) {
		o.values[key] = append(o.values[key], setting{text, from})
	}
}

func (o *options) get(key string) string {
	if v := o.values[key]; len(v) > 0 {
		return v[0].text
	}
	return ""
}

func (o *options) from(key string) string {
	if v := o.values[key]; len(v) > 0 {
		return v[0].from
	}
	return "default"
}

// is reads a yes or no.
func (o *options) is(key string, def bool) (bool, error) {
	switch v := strings.ToLower(o.get(key)); v {
	case "":
		return def, nil
	case "yes", "true":
		return true, nil
	case "no", "false":
		return false, nil
	default:
		return false, fmt.Errorf("%s: %s is %q, want yes or no", o.from(key), key, v)
	}
}

// seconds reads a time: OpenSSH takes seconds, or numbers with s, m, h, d, w.
func (o *options) seconds(key string, def time.Duration) (time.Duration, error) {
	text := strings.ToLower(o.get(key))
	if text == "" || text == "none" {
		return def, nil
	}
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	var sum time.Duration
	for rest := text; rest != ""; {
		end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		unit := time.Second
		digits := rest
		if end >= 0 {
			digits, unit = rest[:end], units[rest[end]]
			rest = rest[end+1:]
		} else {
			rest = ""
		}
		n, err := strconv.Atoi(digits)
		if err != nil || unit == 0 {
			return 0, fmt.Errorf("%s: %s is %q, want a time such as 30 or 2m", o.from(key), key, text)
		}
		sum += time.Duration(n) * unit
	}
	return sum, nil
}

func (o *options) number(key string, def int) (int, error) {
	text := o.get(key)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s: %s is %q, want a number", o.from(key), key, text)
	}
	return n, nil
}

// list reads a list of algorithms. As in OpenSSH, "+" adds to the defaults, "^" puts in
// front of them and "-" takes away.
func (o *options) list(key string, defaults, supported []string) ([]string, error) {
	text := o.get(key)
	if text == "" {
		return nil, nil
	}
	op := byte(0)
	if strings.IndexByte("+-^", text[0]) >= 0 {
		op, text = text[0], text[1:]
	}
	var named []string
	for _, pattern := range strings.Split(text, ",") {
		pattern = strings.TrimSpace(pattern)
		for _, name := range supported {
			if wildcard(pattern, name) {
				named = append(named, name)
			}
		}
	}
	var out []string
	switch op {
	case '-':
		out = slices.DeleteFunc(slices.Clone(defaults), func(a string) bool { return slices.Contains(named, a) })
	case '+':
		out = append(slices.Clone(defaults), named...)
	case '^':
		out = append(named, defaults...)
	default:
		out = named
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: %s is %q: none of these is supported; there are %s", o.from(key), key, o.get(key), strings.Join(supported, ", "))
	}
	return out, nil
}

// CheckArgs says what is wrong with arguments for Config.Args: before anything is
// connected.
func CheckArgs(args []string) error {
	_, err := parseArgs(args)
	return err
}

// parseArgs reads arguments as ssh takes them, the words of ansible_ssh_common_args and
// its like: -o, -i, -J, -p, -l, -F, -A, -a … and the flags that change nothing here
// (-C, -q, -T, -v …). Others are refused by name.
func parseArgs(args []string) (*options, error) {
	o := &options{values: map[string][]setting{}}
	valued := map[byte]string{'i': "identityfile", 'J': "proxyjump", 'p': "port", 'l': "user", 'F': "", 'o': "", 'b': "bindaddress", 'c': "ciphers", 'm': "macs", 'S': "controlpath", 'E': "loglevel"}
	fixed := map[byte][2]string{'A': {"forwardagent", "yes"}, 'a': {"forwardagent", "no"}, '4': {"addressfamily", "inet"}, '6': {"addressfamily", "inet6"}}
	for i := 0; i < len(args); i++ {
		word := args[i]
		if len(word) < 2 || word[0] != '-' {
			return nil, fmt.Errorf("ssh argument %q is not an option", word)
		}
		for at := 1; at < len(word); at++ {
			flag := word[at]
			if pair, ok := fixed[flag]; ok {
				o.set(pair[0], pair[1], "-"+string(flag))
				continue
			}
			if strings.IndexByte("CqTvxknM", flag) >= 0 {
				continue
			}
			key, ok := valued[flag]
			if !ok {
				return nil, fmt.Errorf("ssh argument \"-%c\" is not supported: of ssh's flags -o, -i, -J, -p, -l, -F, -b, -c, -m, -A, -a, -4, -6 are, and -C, -q, -T, -v, -x, -k, -n, -M, -S change nothing", flag)
			}
			val := word[at+1:]
			if val == "" {
				if i++; i == len(args) {
					return nil, fmt.Errorf("ssh argument \"-%c\" needs a value", flag)
				}
				val = args[i]
			}
			if err := o.flag(flag, key, val); err != nil {
				return nil, err
			}
			break
		}
	}
	return o, nil
}

func (o *options) flag(flag byte, key, val string) error {
	switch flag {
	case 'F':
		o.file = val
	case 'o':
		end := strings.IndexAny(val, "= \t")
		if end <= 0 {
			return fmt.Errorf("ssh argument \"-o %s\" is not KEY=VALUE", val)
		}
		name := val[:end]
		text := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(val[end:]), "="))
		if len(text) > 1 && text[0] == '"' && text[len(text)-1] == '"' {
			text = text[1 : len(text)-1]
		}
		return o.option(name, text, "-o "+name, true)
	default:
		o.set(key, val, "-"+string(flag))
	}
	return nil
}

// option takes one setting, from an argument or a line of a file.
func (o *options) option(name, text, from string, arg bool) error {
	key := strings.ToLower(name)
	switch keywords()[key] {
	case used:
		if key == "challengeresponseauthentication" {
			key = "kbdinteractiveauthentication"
		}
		o.set(key, text, from)
	case inert:
	case notArg:
		if arg {
			return fmt.Errorf("ssh option %q is not supported", name)
		}
	case no:
		switch strings.ToLower(text) {
		case "no", "none", "false", "internal", "":
		default:
			return fmt.Errorf("%s: ssh option %q is not supported", from, name)
		}
	default:
		for pattern := range strings.SplitSeq(o.get("ignoreunknown"), ",") {
			if wildcard(strings.ToLower(pattern), key) {
				return nil
			}
		}
		return fmt.Errorf("%s: unknown ssh option %q%s", from, name, suggest(key))
	}
	return nil
}

// suggest finds an option that differs by one letter, or by two that changed places.
func suggest(key string) string {
	for _, known := range slices.Sorted(maps.Keys(keywords())) {
		if oneEdit(key, known) {
			return fmt.Sprintf(": did you mean %q?", known)
		}
	}
	return ""
}

func oneEdit(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		swapped := i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
		return swapped || i < len(a) && a[i+1:] == b[i+1:]
	}
	return a[i:] == b[i+1:]
}

// expand replaces percent tokens and a leading tilde.
func expand(text string, tokens map[byte]string) (string, error) {
	if rest, ok := strings.CutPrefix(text, "~/"); ok {
		text = strings.ReplaceAll(home(), "%", "%%") + "/" + rest
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		if i++; i == len(text) {
			return "", fmt.Errorf("%q ends in a percent sign", text)
		}
		val, ok := tokens[text[i]]
		switch {
		case text[i] == '%':
			b.WriteByte('%')
		case ok:
			b.WriteString(val)
		default:
			return "", fmt.Errorf("%q: there is no token %%%c", text, text[i])
		}
	}
	return b.String(), nil
}

// wildcard matches a pattern of OpenSSH: * and ?.
func wildcard(pattern, text string) bool {
	for ; pattern != ""; pattern = pattern[1:] {
		if pattern[0] == '*' {
			for i := 0; i <= len(text); i++ {
				if wildcard(pattern[1:], text[i:]) {
					return true
				}
			}
			return false
		}
		if text == "" || pattern[0] != '?' && pattern[0] != text[0] {
			return false
		}
		text = text[1:]
	}
	return text == ""
}

// matchList matches a comma list of patterns, of which "!" ones exclude.
func matchList(patterns, text string) bool {
	found := false
	for pattern := range strings.SplitSeq(patterns, ",") {
		if rest, not := strings.CutPrefix(pattern, "!"); not {
			if wildcard(rest, text) {
				return false
			}
		} else if wildcard(pattern, text) {
			found = true
		}
	}
	return found
}

func home() string {
	dir, err := os.UserHomeDir()
	if err != nil {
		return "/"
	}
	return dir
}

// words splits a value that may list quoted things.
func words(text string) ([]string, error) { return transport.Split(text) }
