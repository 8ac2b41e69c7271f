package container

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/encoding/protowire"

	"orch/modules"
)

// A session is BuildKit's way to ask the client for secrets: the engine is a gRPC client
// on a connection that we have opened. Two methods are served; the library for all of
// them would weigh more than the rest of this package.
type session struct {
	id   string
	conn net.Conn
}

// openSession starts answering the engine's questions for secrets.
func (t *Target) openSession(ctx context.Context, secrets map[string]string) (*session, error) {
	var raw [16]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return nil, err
	}
	s := &session{id: hex.EncodeToString(raw[:])}
	const get = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
	conn, err := t.cli.DialHijack(ctx, "/session", "h2c", map[string][]string{
		"X-Docker-Expose-Session-Uuid": {s.id}, "X-Docker-Expose-Session-Name": {"orch"},
		"X-Docker-Expose-Session-Grpc-Method": {get, "/grpc.health.v1.Health/Check"},
	})
	if err != nil {
		return nil, modules.Failf("open build session: %v", err)
	}
	s.conn = conn
	mux := http.NewServeMux()
	mux.HandleFunc(get, func(w http.ResponseWriter, r *http.Request) {
		id, err := secretID(r.Body)
		data, ok := secrets[id]
		switch {
		case err != nil:
			grpcAnswer(w, nil, "3", err.Error())
		case !ok:
			grpcAnswer(w, nil, "5", "secret "+id+" not found")
		default:
			grpcAnswer(w, protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), data), "0", "")
		}
	})
	mux.HandleFunc("/grpc.health.v1.Health/Check", func(w http.ResponseWriter, _ *http.Request) {
		const serving = 1
		grpcAnswer(w, protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), serving), "0", "")
	})
	//lint:ignore SA1019 net/http has no server for a connection that is already open
	go (&http2.Server{}).ServeConn(conn, &http2.ServeConnOpts{Handler: mux})
	return s, nil
}

// Close ends the session.
func (s *session) Close() error { return s.conn.Close() }

// secretID reads the id of a GetSecretRequest: field 1 of one gRPC message.
func secretID(body io.Reader) (string, error) {
	var head [5]byte
	if _, err := io.ReadFull(body, head[:]); err != nil {
		return "", err
	}
	msg, err := io.ReadAll(io.LimitReader(body, int64(min(binary.BigEndian.Uint32(head[1:]), 1<<16))))
	if err != nil {
		return "", err
	}
	for len(msg) > 0 {
		num, typ, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return "", protowire.ParseError(n)
		}
		msg = msg[n:]
		if num == 1 && typ == protowire.BytesType {
			text, n := protowire.ConsumeString(msg)
			return text, protowire.ParseError(min(n, 0))
		}
		if n = protowire.ConsumeFieldValue(num, typ, msg); n < 0 {
			return "", protowire.ParseError(n)
		}
		msg = msg[n:]
	}
	return "", nil
}

// grpcAnswer writes one message and the status.
func grpcAnswer(w http.ResponseWriter, msg []byte, code, text string) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
	w.WriteHeader(http.StatusOK)
	if code == "0" {
		head := make([]byte, 5)
		binary.BigEndian.PutUint32(head[1:], uint32(len(msg)))
		_, _ = w.Write(append(head, msg...)) // the engine may have gone
	}
	w.Header().Set("Grpc-Status", code)
	w.Header().Set("Grpc-Message", text)
}

// A buildLog gathers what a build prints: lines of the old builder, and BuildKit's
// traces, which arrive as protobuf in base64.
type buildLog struct {
	emit  func(string)
	lines []string
}

func (l *buildLog) line(s string) {
	if s = strings.TrimRight(s, "\r\n"); s != "" {
		l.lines = append(l.lines, s)
		l.emit(s)
	}
}

// stream takes in what the old builder prints.
func (l *buildLog) stream(s string) {
	l.lines = append(l.lines, strings.TrimRight(s, "\r\n"))
	l.emit(strings.TrimRight(s, "\n"))
}

// aux reads a BuildKit trace: a StatusResponse, with vertexes (field 1, name in 3) and
// log output (field 3, text in 4).
func (l *buildLog) aux(raw json.RawMessage) {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return
	}
	msg, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return
	}
	fields(msg, func(num protowire.Number, data []byte) {
		want := map[protowire.Number]protowire.Number{1: 3, 3: 4}[num]
		if want == 0 {
			return
		}
		fields(data, func(num2 protowire.Number, text []byte) {
			if num2 != want {
				return
			}
			for line := range bytes.Lines(text) {
				s := strings.TrimRight(string(line), "\n")
				if num == 1 && len(l.lines) > 0 && l.lines[len(l.lines)-1] == s {
					continue // a vertex is told of when it starts and when it ends
				}
				l.line(s)
			}
		})
	})
}

// fields calls do for every length-delimited field of a message.
func fields(msg []byte, do func(num protowire.Number, data []byte)) {
	for len(msg) > 0 {
		num, typ, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return
		}
		msg = msg[n:]
		if typ == protowire.BytesType {
			data, n := protowire.ConsumeBytes(msg)
			if n < 0 {
				return
			}
			do(num, data)
			msg = msg[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(num, typ, msg); n < 0 {
			return
		}
		msg = msg[n:]
	}
}

func (l *buildLog) text() string { return strings.Join(l.lines, "\n") }

func (l *buildLog) tail(n int) string { return strings.Join(l.lines[max(0, len(l.lines)-n):], "\n") }
