"""What a person looks at first when something failed on a cluster: pods, events, and the logs of pods that are not well."""

from __future__ import annotations

import json
import subprocess

WELL = {"Succeeded", "Running"}
LINES, PODS = 40, 6


def kubectl(*arguments: str) -> str:
    try:
        done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"kubectl {' '.join(arguments)}: {error}\n"
    return done.stdout + done.stderr


def unwell(namespace: str) -> list[str]:
    """Pods that failed, wait, or run containers that aren't ready; the youngest last."""
    try:
        pods = json.loads(kubectl("get", "pods", "-n", namespace, "-o", "json"))["items"]
    except (ValueError, KeyError):
        return []
    pods.sort(key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
    return [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") not in WELL]


def what_failed(*namespaces: str) -> str:
    parts = []
    for namespace in namespaces:
        parts += [f"---- pods in {namespace}", kubectl("get", "pods", "-n", namespace, "-o", "wide")]
        events = kubectl("get", "events", "-n", namespace, "--sort-by=.lastTimestamp", "--field-selector", "type!=Normal")
        parts += [f"---- warnings in {namespace}", "\n".join(events.splitlines()[-15:])]
        for pod in unwell(namespace)[-PODS:]:
            parts += [f"---- {pod}", kubectl("logs", "-n", namespace, pod, "--all-containers", f"--tail={LINES}")]
            described = kubectl("describe", "pod", "-n", namespace, pod)
            parts.append("\n".join(described[described.find("Events:") :].splitlines()[:12]))
    return "\n".join(parts)


if __name__ == "__main__":
    print(what_failed("kubeflow", "distillery"))
