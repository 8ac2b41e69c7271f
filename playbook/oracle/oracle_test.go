package oracle_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orch/playbook/oracle"
)

const program = `
import json, sys, time
for line in sys.stdin:
    n = json.loads(line)
    if n < 0:
        time.sleep(60)
    print(json.dumps(n + int(sys.argv[1])), flush=True)
`

func start(t *testing.T) *oracle.Process {
	t.Helper()
	script := filepath.Join(t.TempDir(), "oracle.py")
	if err := os.WriteFile(script, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	return oracle.Start(t, "import json", script, "5")
}

func TestAsk(t *testing.T) {
	p := start(t)
	for _, n := range []int{1, 2, 3} {
		var got int
		if err := p.Ask(n, &got, 10*time.Second); err != nil || got != n+5 {
			t.Errorf("%d + 5 is %d, %v", n, got, err)
		}
	}
	var got int
	if err := p.Ask(-1, &got, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "the oracle ended at -1") {
		t.Errorf("a process that hangs: %v", err)
	}
	if err := p.Ask(4, &got, 10*time.Second); err != nil || got != 9 {
		t.Errorf("the next process says %d, %v", got, err)
	}
}

func TestSkipsWithoutWhatItNeeds(t *testing.T) {
	ran := false
	t.Run("inner", func(t *testing.T) {
		oracle.Start(t, "import there_is_no_such_module", "none.py")
		ran = true
	})
	if ran {
		t.Error("a test without its oracle went on")
	}
}

func TestCompareCounts(t *testing.T) {
	n := 0
	oracle.Compare(t, func(*rand.Rand) bool {
		n++
		time.Sleep(100 * time.Millisecond)
		return true
	})
	if n == 0 {
		t.Error("nothing was called")
	}
}
