#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A Slurm of two nodes with two seeming GPUs each on this machine, in a folder, for tests; needs root, slurm-wlm and munge.
#   tests/slurm/cluster.sh start FOLDER     then SLURM_CONF=FOLDER/slurm.conf sbatch ...
#   tests/slurm/cluster.sh stop FOLDER
set -euo pipefail
what=$1
folder=$(realpath -m "$2")
host=$(hostname -s)

configure() {
  cat >"$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=10
SlurmctldPort=16817
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.%n.pid
SlurmdSpoolDir=$folder/spool.%n
StateSaveLocation=$folder/state
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.%n.log
GresTypes=gpu
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=17001 CPUs=2 RealMemory=2000 Gres=gpu:2 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=17002 CPUs=2 RealMemory=2000 Gres=gpu:2 State=UNKNOWN
PartitionName=low Nodes=n1,n2 Default=YES State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=high Nodes=n1,n2 State=UP PriorityTier=10 PreemptMode=OFF
CONF
  echo "PMIxCliTmpDirBase=$folder/pmix" >"$folder/mpi.conf"
  mknod "$folder/gpu0" c 1 3 # what stands for a device has to be one: null and zero
  mknod "$folder/gpu1" c 1 5
  echo "Name=gpu File=$folder/gpu[0-1]" >"$folder/gres.conf"
}

# Each slurmd sees a PMIx folder of its own, as on a host of its own.
start() {
  mkdir -p "$folder"/{state,spool.n1,spool.n2,pmix,pmix.n1,pmix.n2}
  configure
  (umask 077 && head -c 1024 /dev/urandom >"$folder/munge.key")
  munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
  slurmctld -f "$folder/slurm.conf"
  for node in n1 n2; do
    unshare -m sh -c "mount --bind '$folder/pmix.$node' '$folder/pmix' &&
      exec slurmd -f '$folder/slurm.conf' -N $node"
  done
  for _ in {1..60}; do
    [[ $(SLURM_CONF=$folder/slurm.conf sinfo -h -o %t -p low) == idle ]] && return
    sleep 0.5
  done
  echo "the cluster does not start: $folder/*.log" >&2
  return 1
}

stop() {
  local pid
  for name in slurmd.n1 slurmd.n2 slurmctld munged; do
    pid=$(cat "$folder/$name.pid" 2>/dev/null) && kill "$pid" || continue
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
  done
}

"$what"
