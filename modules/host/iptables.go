package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"orch/modules"
)

// Iptables manages rules, chains and policies of the running firewall. A value that begins
// with ! is negated.
type Iptables struct {
	// Table of the chain.
	Table string `orch:"enum=filter|nat|mangle|raw|security,default=filter"`
	// Whether the rule (or the chain, without a rule) is to be there.
	State string `orch:"enum=absent|present,default=present"`
	// Put a new rule at the end or at the beginning.
	Action string `orch:"enum=append|insert,default=append"`
	// Version of IP.
	IPVersion string `orch:"enum=ipv4|ipv6,default=ipv4"`
	// The chain.
	Chain string
	// Number a new rule is inserted at.
	RuleNum string
	// Protocol.
	Protocol string
	// Seconds to wait for the lock.
	Wait string
	// Source address.
	Source string
	// Address to put in place of the source.
	ToSource string
	// Destination address.
	Destination string
	// Address to put in place of the destination.
	ToDestination string
	// Extensions to load.
	Match []string
	// Flags of TCP: which to look at, and which must be set.
	TCPFlags *TCPFlags
	// Where matching packets go.
	Jump string
	// Gateway, with jump TEE.
	Gateway string
	// Prefix of log lines.
	LogPrefix string
	// Level of log lines.
	LogLevel string `orch:"enum=0|1|2|3|4|5|6|7|emerg|alert|crit|error|warning|notice|info|debug"`
	// Chain to go on in.
	Goto string
	// Interface packets come in by.
	InInterface string
	// Interface packets leave by.
	OutInterface string
	// Second and later fragments.
	Fragment string
	// Counters of the rule.
	SetCounters string
	// Source port.
	SourcePort string
	// Destination port.
	DestinationPort string
	// Destination ports.
	DestinationPorts []string
	// Ports to put in place of the destination's.
	ToPorts string
	// Mark of DSCP to set.
	SetDscpMark string
	// Class of DSCP to set.
	SetDscpMarkClass string
	// Remark in the rule.
	Comment string
	// States of connections.
	Ctstate []string
	// Range of source addresses.
	SrcRange string
	// Range of destination addresses.
	DstRange string
	// Set of addresses (ipset).
	MatchSet string
	// Which address is looked up in the set.
	MatchSetFlags string
	// Rate.
	Limit string
	// Burst of the rate.
	LimitBurst string
	// User that sends.
	UIDOwner string
	// Group that sends.
	GIDOwner string
	// Answer to rejected packets.
	RejectWith string
	// Type of ICMP.
	ICMPType string
	// Only packets that open a connection, or only others.
	Syn string `orch:"enum=ignore|match|negate,default=ignore"`
	// Remove all rules.
	Flush bool
	// Policy of the chain.
	Policy string `orch:"enum=ACCEPT|DROP|QUEUE|RETURN"`
	// Make and remove chains.
	ChainManagement bool
	// Do not look names of addresses up.
	Numeric bool
}

// TCPFlags are the flags of TCP a rule matches.
type TCPFlags struct {
	// Flags to look at.
	Flags []string
	// Flags that must be set.
	FlagsSet []string
}

// Validate implements modules.Validator.
func (i *Iptables) Validate() error {
	switch {
	case i.SetDscpMark != "" && i.SetDscpMarkClass != "":
		return errors.New("parameters are mutually exclusive: set_dscp_mark|set_dscp_mark_class")
	case !slices.Contains([]string{"", "src", "dst", "src,dst", "dst,src", "src,src", "dst,dst"}, i.MatchSetFlags):
		return fmt.Errorf("value of match_set_flags must be one of: src, dst, src,dst, dst,src, src,src, dst,dst, got: %s", i.MatchSetFlags)
	case i.Flush && i.Policy != "":
		return errors.New("parameters are mutually exclusive: flush|policy")
	case strings.EqualFold(i.Jump, "tee") && i.Gateway == "":
		return errors.New("jump is TEE but all of the following are missing: gateway")
	case !i.Flush && i.Chain == "":
		return errors.New("flush is False but all of the following are missing: chain")
	case (i.LogPrefix != "" || i.LogLevel != "") && i.Jump != "" && i.Jump != "LOG":
		return errors.New("Logging options can only be used with the LOG jump target.") //nolint:staticcheck // Ansible's words
	}
	return nil
}

// IptablesOut is the result of iptables.
type IptablesOut struct {
	IPVersion       string `json:"ip_version"`
	Table           string `json:"table"`
	Chain           string `json:"chain"`
	Flush           bool   `json:"flush"`
	Rule            string `json:"rule"`
	State           string `json:"state"`
	ChainManagement bool   `json:"chain_management"`
}

// A ruleText collects the arguments of a rule.
type ruleText struct {
	words  []string
	loaded []string // extensions
}

// put adds an option that has a value.
func (r *ruleText) put(flag, val string) {
	switch {
	case val == "":
	case val[0] == '!':
		r.words = append(r.words, "!", flag, strings.TrimSpace(val[1:]))
	default:
		r.words = append(r.words, flag, val)
	}
}

// load loads an extension that is needed and not loaded yet.
func (r *ruleText) load(needed bool, name string) {
	if needed && !slices.Contains(r.loaded, name) {
		r.words, r.loaded = append(r.words, "-m", name), append(r.loaded, name)
	}
}

// rule is the rule's arguments.
func (i *Iptables) rule() []string {
	r := &ruleText{}
	jump := i.Jump
	if jump == "" && (i.LogPrefix != "" || i.LogLevel != "") {
		jump = "LOG"
	}
	r.put("-p", i.Protocol)
	r.put("-s", i.Source)
	r.put("-d", i.Destination)
	for _, m := range i.Match {
		r.load(true, m)
	}
	if i.TCPFlags != nil && i.TCPFlags.Flags != nil && i.TCPFlags.FlagsSet != nil {
		r.words = append(r.words, "--tcp-flags", strings.Join(i.TCPFlags.Flags, ","), strings.Join(i.TCPFlags.FlagsSet, ","))
	}
	r.put("-j", jump)
	if strings.EqualFold(jump, "tee") {
		r.put("--gateway", i.Gateway)
	}
	r.put("--log-prefix", i.LogPrefix)
	r.put("--log-level", i.LogLevel)
	r.put("--to-destination", i.ToDestination)
	r.load(len(i.DestinationPorts) > 0, "multiport")
	r.put("--dports", strings.Join(i.DestinationPorts, ","))
	for _, o := range [][2]string{
		{"--to-source", i.ToSource},
		{"-g", i.Goto},
		{"-i", i.InInterface},
		{"-o", i.OutInterface},
		{"-f", i.Fragment},
		{"-c", i.SetCounters},
		{"--source-port", i.SourcePort},
		{"--destination-port", i.DestinationPort},
		{"--to-ports", i.ToPorts},
	} {
		r.put(o[0], o[1])
	}
	dscp := i.SetDscpMark + i.SetDscpMarkClass
	if dscp != "" && jump == "" {
		jump = "DSCP"
		r.put("-j", jump)
	}
	r.put("--set-dscp", i.SetDscpMark)
	r.put("--set-dscp-class", i.SetDscpMarkClass)
	switch i.Syn {
	case "match":
		r.words = append(r.words, "--syn")
	case "negate":
		r.words = append(r.words, "!", "--syn")
	}
	i.extensions(r, jump)
	return r.words
}

// extensions adds what extensions match, each after its -m.
func (i *Iptables) extensions(r *ruleText, jump string) {
	if slices.Contains(i.Match, "state") && !slices.Contains(i.Match, "conntrack") {
		r.put("--state", strings.Join(i.Ctstate, ","))
	} else {
		r.load(len(i.Ctstate) > 0, "conntrack")
		r.put("--ctstate", strings.Join(i.Ctstate, ","))
	}
	r.load(i.SrcRange+i.DstRange != "", "iprange")
	r.put("--src-range", i.SrcRange)
	r.put("--dst-range", i.DstRange)
	r.load(i.MatchSet != "", "set")
	r.put("--match-set", i.MatchSet)
	if i.MatchSet != "" {
		r.words = append(r.words, i.MatchSetFlags)
	}
	r.load(i.Limit+i.LimitBurst != "", "limit")
	r.put("--limit", i.Limit)
	r.put("--limit-burst", i.LimitBurst)
	r.load(i.UIDOwner+i.GIDOwner != "", "owner")
	r.put("--uid-owner", i.UIDOwner)
	r.put("--gid-owner", i.GIDOwner)
	if jump == "" && i.RejectWith != "" {
		r.put("-j", "REJECT")
	}
	r.put("--reject-with", i.RejectWith)
	r.put(map[string]string{"ipv4": "--icmp-type", "ipv6": "--icmpv6-type"}[i.IPVersion], i.ICMPType)
	r.load(i.Comment != "", "comment")
	r.put("--comment", i.Comment)
}

func (i *Iptables) argv(action string, rule []string) []string {
	argv := []string{map[string]string{"ipv4": "iptables", "ipv6": "ip6tables"}[i.IPVersion]}
	if i.Wait != "" {
		argv = append(argv, "-w", i.Wait)
	} else {
		argv = append(argv, "-w")
	}
	argv = append(argv, "-t", i.Table, action)
	if i.Chain != "" {
		argv = append(argv, i.Chain)
	}
	if action == "-I" && i.RuleNum != "" {
		argv = append(argv, i.RuleNum)
	}
	return append(argv, rule...)
}

func (i *Iptables) holds(ctx context.Context, v modules.View, action string, rule []string) (bool, string, error) {
	argv := i.argv(action, rule)
	if action == "-L" && i.Numeric {
		argv = append(argv, "--numeric")
	}
	o, err := v.Query(ctx, argv...)
	if errors.Is(err, fs.ErrNotExist) {
		return false, "", modules.Failf("Failed to find required executable \"%s\" in paths", argv[0])
	}
	return o.RC == 0, o.Stdout, err
}

var chainPolicy = lazy(`\(policy ([A-Z]+)`)

// Plan implements modules.Module.
func (i *Iptables) Plan(ctx context.Context, v modules.View) (plan, error) {
	rule := i.rule()
	out := &IptablesOut{
		IPVersion: i.IPVersion, Table: i.Table, Chain: i.Chain, Flush: i.Flush, Rule: strings.Join(rule, " "), State: i.State, ChainManagement: i.ChainManagement,
	}
	p := plan{Out: out}
	where := "chain " + i.Chain + " of " + i.Table
	switch {
	case i.Flush:
		s := command("remove all rules of "+strings.TrimPrefix(where, "chain  of "), i.argv("-F", nil)...)
		s.Always = true
		p.Steps = []step{s}
	case i.Policy != "":
		_, text, err := i.holds(ctx, v, "-L", nil)
		if err != nil {
			return p, err
		}
		m := chainPolicy().FindStringSubmatch(strings.SplitN(text, "\n", 2)[0])
		if m == nil {
			return p, modules.Failf("Can't detect current policy")
		}
		if m[1] != i.Policy {
			p.Steps = []step{command("set the policy of "+where+" to "+i.Policy, append(i.argv("-P", nil), i.Policy)...)}
		}
	case len(rule) == 0:
		is, _, err := i.holds(ctx, v, "-L", nil)
		if err != nil {
			return p, err
		}
		if want := i.State == "present"; want != is && i.ChainManagement {
			flag, verb := "-X", "remove the "
			if want {
				flag, verb = "-N", "make the "
			}
			p.Steps = []step{command(verb+where, i.argv(flag, nil)...)}
		}
	default:
		is, _, err := i.holds(ctx, v, "-C", rule)
		if err != nil {
			return p, err
		}
		if want := i.State == "present"; want != is {
			flag, verb := "-D", "remove the rule from "
			if want {
				flag, verb = map[string]string{"append": "-A", "insert": "-I"}[i.Action], "add the rule to "
			}
			p.Steps = []step{command(verb+where+": "+out.Rule, i.argv(flag, rule)...)}
		}
	}
	return p, nil
}
