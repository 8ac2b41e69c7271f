package journal

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"orch/playbook/jinja/value"
	"orch/playbook/run"
)

// A Command is what is needed to give a run's command again.
type Command struct {
	// Dir is the folder it was given in.
	Dir string `json:"directory"`
	// Flags are those that were given, and their values.
	Flags map[string][]string `json:"flags,omitempty"`
	// Secret are further flags, whose values hold secrets. They are kept encrypted with
	// the vault password (Locked), or only named (Withheld).
	Secret   map[string][]string `json:"-"`
	Locked   string              `json:"locked,omitempty"`
	Withheld []string            `json:"withheld,omitempty"`
}

// lock encrypts the secret flags, or leaves them out.
func (c *Command) lock(o Options) error {
	if len(c.Secret) == 0 {
		return nil
	}
	c.Withheld = slices.Sorted(maps.Keys(c.Secret))
	if o.Lock == nil {
		return nil
	}
	text, err := json.Marshal(c.Secret)
	if err == nil {
		text, err = o.Lock(text)
	}
	if err != nil {
		return fmt.Errorf("encrypt flags: %w", err)
	}
	c.Locked = string(text)
	return nil
}

// unlock takes the secret flags in.
func (c *Command) unlock(open func([]byte) ([]byte, error)) {
	if c.Locked == "" || open == nil {
		return
	}
	text, err := open([]byte(c.Locked))
	if err == nil && json.Unmarshal(text, &c.Secret) == nil {
		c.Withheld = nil
	}
}

type stateHeader struct {
	Journal int `json:"journal"`
	Header
	Command
	// Key is the key of sealed records, encrypted with the vault password.
	Key string `json:"key,omitempty"`
}

type stateFiles struct {
	Files map[string]string `json:"files"`
}

// A stateLine is any line but the first.
type stateLine struct {
	Files map[string]string `json:"files,omitempty"`

	// A task, named before its first record.
	Task    int    `json:"task,omitempty"`
	Play    string `json:"play,omitempty"`
	Place   string `json:"place,omitempty"`
	Action  string `json:"action,omitempty"`
	Name    string `json:"name,omitempty"`
	Handler bool   `json:"handler,omitempty"`

	// A record.
	Host    string `json:"host,omitempty"`
	Of      int    `json:"of,omitempty"`
	Stop    bool   `json:"stop,omitempty"`
	Cleared bool   `json:"cleared,omitempty"`
	Ignored bool   `json:"ignored,omitempty"`
	Rescued bool   `json:"rescued,omitempty"`
	Loop    bool   `json:"loop,omitempty"`
	Secret  bool   `json:"secret,omitempty"`

	Status    run.Status `json:"status,omitempty"`
	Changed   bool       `json:"changed,omitempty"`
	Delegated string     `json:"delegated,omitempty"`
	Notify    []string   `json:"notify,omitempty"`

	Payload json.RawMessage `json:"payload,omitempty"`
	// Sealed is the payload encrypted with the run's key, its nonce in front. Missing says
	// what a payload that holds secrets is about.
	Sealed  []byte   `json:"sealed,omitempty"`
	Missing []string `json:"missing,omitempty"`
}

// A payload is what a task left: all that may hold secrets.
type payload struct {
	kept
	Items []kept `json:"items,omitempty"`
}

type kept struct {
	Status    run.Status      `json:"status,omitempty"` // of items
	Changed   bool            `json:"changed,omitempty"`
	Delegated string          `json:"delegated,omitempty"`
	Notify    []string        `json:"notify,omitempty"`
	Value     json.RawMessage `json:"value,omitempty"`
	Partial   bool            `json:"partial,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
	Facts     *keptFacts      `json:"facts,omitempty"`
	Include   *keptInclude    `json:"include,omitempty"`
}

type keptFacts struct {
	// Packed is a JSON object, deflated.
	Packed    []byte          `json:"packed,omitempty"`
	Vars      json.RawMessage `json:"vars,omitempty"`
	Set       bool            `json:"set,omitempty"`
	Cacheable bool            `json:"cacheable,omitempty"`
}

type keptInclude struct {
	Path  string          `json:"path,omitempty"`
	Name  string          `json:"name,omitempty"`
	Role  json.RawMessage `json:"role,omitempty"`
	Names []string        `json:"names,omitempty"`
	Vars  json.RawMessage `json:"vars,omitempty"` // the values of Names
	Label string          `json:"label,omitempty"`
	NoLog bool            `json:"no_log,omitempty"`
}

func (k *kept) empty() bool {
	return k.Value == nil && k.Data == nil && k.Facts == nil && k.Include == nil
}

// An encoder makes lines of records.
type encoder struct {
	secret func(string) bool
	lock   func([]byte) ([]byte, error)
	gcm    cipher.AEAD // of sealed payloads; nil: there is no vault password
	tasks  map[run.TaskRef]int
	pack   *flate.Writer
}

func newEncoder(o Options) encoder {
	return encoder{secret: o.Secret, lock: o.Lock, tasks: map[run.TaskRef]int{}}
}

// sealedKey makes the run's key and returns it encrypted; "" when there is no password.
func (e *encoder) sealedKey() (string, error) {
	if e.lock == nil {
		return "", nil
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return "", fmt.Errorf("make key: %w", err)
	}
	text, err := e.lock([]byte(hex.EncodeToString(key)))
	if err != nil {
		return "", fmt.Errorf("encrypt key: %w", err)
	}
	e.gcm, err = newGCM(key)
	return string(text), err
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return cipher.NewGCM(block)
}

// record writes a record, and before it the task it is of.
func (e *encoder) record(w *bufio.Writer, r *run.Record) error {
	l := stateLine{
		Host: r.Host, Stop: r.Stop, Cleared: r.Cleared, Ignored: r.Ignored, Rescued: r.Rescued, Loop: r.Loop, Secret: r.Secret,
		Status: r.Outcome.Status, Changed: r.Outcome.Changed, Delegated: r.Outcome.Delegated, Notify: r.Outcome.Notify,
	}
	if !r.Stop && !r.Cleared {
		n, known := e.tasks[r.Task]
		if !known {
			n = len(e.tasks) + 1
			e.tasks[r.Task] = n
			t := r.Task
			if err := writeLine(w, stateLine{Task: n, Play: t.Play, Place: t.Place, Action: t.Action, Name: t.Name, Handler: t.Handler}); err != nil {
				return err
			}
		}
		l.Of = n
	}
	if err := e.payload(&l, r); err != nil {
		return err
	}
	return writeLine(w, l)
}

func writeLine(w *bufio.Writer, l stateLine) error {
	text, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// payload adds what the task left: in clear, sealed, or only its names.
func (e *encoder) payload(l *stateLine, r *run.Record) error {
	p, secret, err := e.whole(r)
	var form *formError
	if errors.As(err, &form) {
		l.Missing = r.Names()
		return nil
	}
	if err != nil || p == nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	if !secret && !r.Secret && !e.secret(string(text)) {
		l.Payload = text
		return nil
	}
	l.Missing = r.Names()
	if e.gcm == nil {
		return nil
	}
	nonce := make([]byte, e.gcm.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return fmt.Errorf("make nonce: %w", err)
	}
	l.Sealed = e.gcm.Seal(nonce, nonce, text, nil)
	return nil
}

// whole is what the task left, nil for nothing, and whether what is packed in it is secret.
func (e *encoder) whole(r *run.Record) (*payload, bool, error) {
	var p payload
	secret := false
	var err error
	if p.kept, err = e.kept(&r.Outcome, &secret); err != nil {
		return nil, false, err
	}
	for i := range r.Items {
		k := &r.Items[i]
		it, err := e.kept(k, &secret)
		if err != nil {
			return nil, false, err
		}
		it.Status, it.Changed, it.Delegated, it.Notify = k.Status, k.Changed, k.Delegated, k.Notify
		p.Items = append(p.Items, it)
	}
	if p.empty() && p.Items == nil {
		return nil, false, nil
	}
	return &p, secret, nil
}

func (e *encoder) kept(k *run.Kept, secret *bool) (kept, error) {
	out := kept{Partial: k.Partial}
	var err error
	if k.Value != nil {
		if out.Value, err = encodeValue(k.Value); err != nil {
			return out, err
		}
	}
	if k.Data != nil {
		if out.Data, err = encodeValue(k.Data); err != nil {
			return out, err
		}
	}
	if f := k.Facts; f != nil {
		out.Facts = &keptFacts{Set: f.Set, Cacheable: f.Cacheable}
		if f.JSON != nil {
			*secret = *secret || e.secret(string(f.JSON))
			out.Facts.Packed, err = e.deflate(f.JSON)
		} else if f.Dict != nil {
			out.Facts.Vars, err = encodeValue(f.Dict)
		}
		if err != nil {
			return out, err
		}
	}
	if i := k.Include; i != nil {
		out.Include, err = encodeInclude(i)
	}
	return out, err
}

func encodeInclude(i *run.KeptInclude) (*keptInclude, error) {
	out := &keptInclude{Path: i.Path, Name: i.Name, Label: i.Label, NoLog: i.NoLog}
	var err error
	if i.Path == "" {
		if out.Role, err = json.Marshal(i.Role); err != nil {
			return nil, fmt.Errorf("encode state: %w", err)
		}
	}
	values := make([]value.Value, len(i.Vars))
	for n, v := range i.Vars {
		out.Names = append(out.Names, v.Name)
		values[n] = v.Val
	}
	if len(values) > 0 {
		out.Vars, err = encodeValue(value.NewList(values...))
	}
	return out, err
}

func (e *encoder) deflate(text []byte) ([]byte, error) {
	var b bytes.Buffer
	if e.pack == nil {
		var err error
		if e.pack, err = flate.NewWriter(&b, flate.BestSpeed); err != nil {
			return nil, fmt.Errorf("pack facts: %w", err)
		}
	}
	e.pack.Reset(&b)
	if _, err := e.pack.Write(text); err != nil {
		return nil, fmt.Errorf("pack facts: %w", err)
	}
	if err := e.pack.Close(); err != nil {
		return nil, fmt.Errorf("pack facts: %w", err)
	}
	return b.Bytes(), nil
}

// maxFacts is how much a packed object may unpack to.
const maxFacts = 64 << 20

func inflate(packed []byte) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxFacts+1))
	if err != nil {
		return nil, fmt.Errorf("unpack facts: %w", err)
	}
	if len(text) > maxFacts {
		return nil, fmt.Errorf("unpack facts: more than %d bytes", maxFacts)
	}
	return text, nil
}
