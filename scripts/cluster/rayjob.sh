#!/usr/bin/env bash
# A KubeRay RayJob (ray.io/v1) on standard output:  IMAGE=registry/g2rl bash scripts/cluster/rayjob.sh | kubectl apply -f -
# Any Hydra override may follow. CLAIM: a volume that all pods may write (ReadWriteMany), mounted at SHARED.
set -euo pipefail
PROJECT_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
SHARED=${SHARED:-/shared}
source "$PROJECT_HERE/scripts/cluster/settings.sh"
NAME=${NAME:-g2rl}
IMAGE=${IMAGE:-g2rl:latest}
CLAIM=${CLAIM:-g2rl}
MEMORY=${MEMORY:-512Gi} # of a pod

# docker/Dockerfile has the project in /g2rl.
TRAIN=("${TRAIN[@]/#"$PROJECT_HERE"//g2rl}")
entrypoint=$(printf '%q ' env MAX_RESTARTS="$MAX_RESTARTS" G2RL_CACHE="$G2RL_CACHE" "${TRAIN[@]}" "$@")

template() { # of a node's pod; $1: how far to indent
    sed "s/^/$(printf "%$1s")/" <<YAML
rayStartParams:
  num-gpus: "$GPUS_PER_NODE"
  num-cpus: "$CPUS_PER_NODE"
template:
  spec:
    securityContext:
      fsGroup: 10001 # the image's user, who writes to the volume
    containers:
      - name: ray
        image: $IMAGE
        env:
          - name: SPT_NOENV
            value: "1"
          - name: RAY_health_check_timeout_ms
            value: "$RAY_health_check_timeout_ms"
          - name: RAY_health_check_failure_threshold
            value: "$RAY_health_check_failure_threshold"
        resources:
          limits:
            cpu: "$CPUS_PER_NODE"
            memory: $MEMORY
            nvidia.com/gpu: "$GPUS_PER_NODE"
        volumeMounts:
          - name: shared
            mountPath: $SHARED
          - name: shm
            mountPath: /dev/shm
    volumes:
      - name: shared
        persistentVolumeClaim:
          claimName: $CLAIM
      - name: shm
        emptyDir:
          medium: Memory
YAML
}

cat <<YAML
apiVersion: ray.io/v1
kind: RayJob
metadata:
  name: $NAME
spec:
  # A new cluster after the loss of the head; the run goes on from its last checkpoint. Smaller losses: MAX_RESTARTS.
  backoffLimit: $MAX_RESTARTS
  shutdownAfterJobFinishes: true
  submissionMode: K8sJobMode
  entrypoint: >-
    $entrypoint
  rayClusterSpec:
    headGroupSpec:
$(template 6)
    workerGroupSpecs:
      - groupName: workers
        replicas: $((NODES - 1))
        minReplicas: $((NODES - 1))
        maxReplicas: $((NODES - 1))
$(template 8)
YAML
