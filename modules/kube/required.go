package kube

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// Required says how much of a rollout must serve; the zero value is all of it.
type Required struct {
	// MaxUnavailable lets as many pods be missing as the workload's strategy does.
	MaxUnavailable bool
	// Percent of the pods that must serve, if it is not 0.
	Percent int
}

func parseRequired(text string) (Required, error) {
	switch text {
	case "", "full":
		return Required{}, nil
	case "max_unavailable":
		return Required{MaxUnavailable: true}, nil
	}
	number, ok := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 || n > 100 {
		return Required{}, fmt.Errorf("required: unknown value %q, one of full, max_unavailable, or a percentage such as 90%%", text)
	}
	return Required{Percent: n}, nil
}

// of is how many of a workload's pods must serve; false when it is all of them, by the
// rules of its kind.
func (r Required) of(kind string, o object) (need int64, part bool) {
	want := o.num(1, "spec", "replicas")
	if kind == "DaemonSet" {
		want = o.num(0, "status", "desiredNumberScheduled")
	}
	switch {
	case r.MaxUnavailable:
		missing, ok := mayMiss(kind, o, want)
		return max(want-missing, 0), ok
	case r.Percent > 0:
		return (want*int64(r.Percent) + 99) / 100, true
	}
	return 0, false
}

// mayMiss is how many pods the strategy of a workload lets be missing; false for one that
// says nothing of it.
func mayMiss(kind string, o object, want int64) (int64, bool) {
	strategy, fallback, up := "updateStrategy", intstr.FromInt32(1), true
	if kind == "Deployment" {
		strategy, fallback, up = "strategy", intstr.FromString("25%"), false
	}
	if o.str("spec", strategy, "type") != "RollingUpdate" {
		return 0, false
	}
	if rolling, ok := nested(o.u, "spec", strategy, "rollingUpdate"); ok {
		switch v := rolling["maxUnavailable"].(type) {
		case int64:
			fallback = intstr.FromInt32(int32(v))
		case string:
			fallback = intstr.FromString(v)
		}
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(&fallback, int(want), up)
	return int64(n), err == nil
}
