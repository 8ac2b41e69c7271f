package kube

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"orch/modules"
)

// waitStep waits until all workloads serve, and goes back where the task wants that of
// those that fail.
func (k *K8sRollout) waitStep(all []*workload, out *RolloutOut) modules.Step[*Target] {
	items := make([]*item, len(all))
	for i, w := range all {
		items[i] = w.item
	}
	return modules.Step[*Target]{
		Title: "wait until " + summary(items) + " ready", Effect: modules.Act,
		Do: func(ctx context.Context, t *Target) (bool, error) {
			report, err := t.wait(ctx, items, k.wait())
			if err != nil {
				return false, err
			}
			live(items, report)
			out.Duration, out.Failure = int(report.Elapsed.Seconds()), report.failure()
			out.warnings = append(out.warnings, report.Warnings()...)
			for _, w := range all {
				t.settled(ctx, w)
			}
			if report.OK() {
				return false, nil
			}
			failure := report.Failure()
			if k.OnFailure == "undo" {
				failure.Msg += k.goBack(ctx, t, all, report)
			}
			return false, failure
		},
	}
}

func (k *K8sRollout) wait() Wait {
	required, _ := parseRequired(k.Required) // Validate has read it
	return Wait{Timeout: time.Duration(k.WaitTimeout) * time.Second, LogLines: int64(k.LogLines), Restarts: 1, Required: required}
}

// settled reads what the workload's revision is now. A change has a revision of its own
// as soon as its controller has seen it.
func (t *Target) settled(ctx context.Context, w *workload) {
	w.out.Images = imagesOf(w.after)
	revisions, err := t.revisions(ctx, w.item)
	if err != nil {
		return // it was ready to be waited for: the number is all that is missing
	}
	w.revisions = revisions
	if now := current(w.after, revisions); now != w.out.Revision {
		w.out.PreviousRevision, w.out.Revision = w.out.Revision, now
	}
}

// goBack undoes what did not come to serve, and says how that went: lines for the failure.
func (k *K8sRollout) goBack(ctx context.Context, t *Target, all []*workload, report *Report) string {
	text := ""
	var back []*item
	for i, w := range all {
		if s := report.Outcomes[i].Status.State; s == Ready || s == Present || s == Absent {
			continue
		}
		if err := w.goBack(ctx, t); err != nil {
			text += fmt.Sprintf("\n  %s is not undone: %v", w.id, err)
			continue
		}
		back = append(back, w.item)
	}
	if len(back) == 0 {
		return text
	}
	after, err := t.wait(ctx, back, k.wait())
	switch {
	case err != nil:
		return text + fmt.Sprintf("\n  undone (on_failure: undo), and not waited for: %v", err)
	case !after.OK():
		return text + "\n  undone (on_failure: undo), and still not well: " + after.Failure().Msg
	}
	for i, it := range back {
		it.after = after.Outcomes[i].Live
		w := all[slices.IndexFunc(all, func(w *workload) bool { return w.item == it })]
		text += fmt.Sprintf("\n  %s is undone to revision %d in %.1fs (on_failure: undo)", w.id, w.out.Undone, after.Elapsed.Seconds())
		t.settled(ctx, w)
	}
	return text
}

// goBack gives the workload the template it had before the task, or if the task has
// changed nothing that of the revision before.
func (w *workload) goBack(ctx context.Context, t *Target) error {
	template, _ := nested(w.live.Object, "spec", "template")
	w.out.Undone = w.was
	if !w.changed {
		template, _ = nested(w.after.Object, "spec", "template")
		to := before(w.revisions, current(w.after, w.revisions), template)
		if to == nil {
			return modules.Failf("it has no older revision that differs")
		}
		template, w.out.Undone = to.template, to.number
	}
	c := backTo(template, "undo "+w.id.String())
	if err := t.write(ctx, w, c); err != nil {
		return err
	}
	return t.unstick(ctx, w, c)
}

// unstick deletes the pods of a StatefulSet that a change goes away from and that are in
// trouble: its controller replaces pods in order and waits for a broken one for ever
// (Kubernetes: "Forced rollback").
func (t *Target) unstick(ctx context.Context, w *workload, c change) error {
	if w.id.Kind != "StatefulSet" || c.kind != types.JSONPatchType {
		return nil
	}
	m, err := t.cluster.Mapping(podKind)
	if err != nil {
		return modules.Failf("%v", explainAPI(err))
	}
	pods, err := t.list(ctx, m, w.id.Namespace, metav1.ListOptions{})
	if err != nil {
		return modules.Failf("list the pods of %s: %v", w.id, explainAPI(err))
	}
	for _, pod := range pods {
		ref := metav1.GetControllerOf(pod.live)
		if ref == nil || ref.UID != w.live.GetUID() || podTrouble(object{pod.live.Object}).Urgency == None {
			continue
		}
		uid := pod.live.GetUID()
		err := t.cluster.Resource(m, w.id.Namespace).Delete(ctx, pod.id.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		if err != nil && !isGone(err) {
			return modules.Failf("delete broken pod %s: %v", pod.id.Name, explainAPI(err))
		}
	}
	return nil
}
