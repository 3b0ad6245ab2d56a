#!/bin/bash
# Any verb of cryoparts on one or more nodes of a SLURM cluster:
#
#   sbatch --nodes 2 examples/slurm.sh run particles.star --model map.mrc -o runs/first
#
# One process a core; for cards, add --gpus-per-node and give as many processes:
#
#   PROCESSES=4 sbatch --gpus-per-node 4 examples/slurm.sh train ...
#
# Particles and run folder must be where every node sees them. Where cryoparts is installed in a
# virtual environment, activate it before sbatch: the job inherits it.
#SBATCH --job-name cryoparts
#SBATCH --ntasks-per-node 1
#SBATCH --cpus-per-task 16
#SBATCH --time 12:00:00
#SBATCH --signal B:TERM@60
set -euo pipefail

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
processes=${PROCESSES:-$SLURM_CPUS_PER_TASK}

exec srun --kill-on-bad-exit=1 torchrun \
    --nnodes "$SLURM_JOB_NUM_NODES" --nproc-per-node "$processes" \
    --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d --rdzv-endpoint "$first:${PORT:-29500}" \
    -m cryoparts "$@"
