#!/usr/bin/env bash
# Trains the pretrained and the cross-fit weights. One recipe per call, resumable:
#
#   recipes.sh RECIPE [FOLD]      with CONSEP, BRCA, ENDONUKE, CROPS and RUNS naming folders
#
#   consep             HoVer-Net on CoNSeP                                           62 minutes
#   recoloured         fine-tuned with a third of the crops recoloured               31 minutes  (needs consep)
#   hovernet           fine-tuned on CoNSeP and BRCA-M2C                             40 minutes  (needs recoloured)
#   painted            fine-tuned with most crops painted as IHC                     50 minutes  (needs consep)
#   wide               `painted`, fine-tuned on both, painted in a wider range       40 minutes  (needs painted, recoloured)
#   synthetic          `wide`, trained on with larger batches                        3 minutes * (needs wide, hovernet)
#   selftrained FOLD   synthetic, fine-tuned on confident detections on IHC; FOLD is 1, 2 or all
#                                                                                    2 minutes * (needs synthetic, hovernet)
#   cyclegan FOLD      IHC to H&E                                                    4 minutes * (needs hovernet, wide)
#   supervised FOLD    synthetic, fine-tuned on EndoNuke's points (reference)        10 minutes  (needs synthetic)
#   fold FOLD          links to the weights of a fold, for histolib.experiments.compare_routes
#
# Settings come from `--profile pretrained` (histolib/config.py); the commands below list only the differences.
# Minutes are those of one CPU core, with * those of an H200 GPU that trains four to six networks at once; WORKERS is
# the number of processes that prepare crops for the GPU.
# STEPS=2 limits every training to two steps, which checks data, options and paths within minutes.
# Memory stays below 3 GB, but for `synthetic` and `selftrained` with 16 crops per step on a CPU: 5.4 GB.
set -euo pipefail

: "${CONSEP:=data/consep}" "${BRCA:=data/brca_m2c}" "${ENDONUKE:=data/endonuke}" "${CROPS:=data/crops}" "${RUNS:=runs}" "${PRECISION:=bf16}" "${WORKERS:=0}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

train() { # NETWORK OUTPUT STEPS, then more options
  histolib train "$1" --profile pretrained --output "$RUNS/$2" --resume --set steps="${STEPS:-$3}" "${@:4}"
}

on_consep() { # OUTPUT STEPS, then more options
  train hovernet "$1" "$2" --data "$CONSEP" --split data/splits/consep.json --mixed-precision "$PRECISION" \
    --save-every 100 "${@:3}"
}

on_mixture() { # NETWORK OUTPUT STEPS DETECTOR, then more options
  python -m histolib.experiments.train_pretrained "$1" --output "$RUNS/$2" --consep "$CONSEP" --brca "$BRCA" \
    --detector "$RUNS/$4/hovernet.safetensors" --workers "$WORKERS" --set steps="${STEPS:-$3}" "${@:5}"
}

on_ihc() { # FOLD TEACHER, the options of unlabelled IHC
  echo --endonuke "$ENDONUKE" --split "data/splits/endonuke_$1.json" --crops "$CROPS" \
    --teacher "$RUNS/$2/hovernet.safetensors"
}

case "${1:-}" in
  consep)
    on_consep consep 2000 --set learning_rate=4e-3 --set validate_every=250 ;;
  recoloured)
    on_consep recoloured 900 --start "$RUNS/consep/hovernet.safetensors" --set jitter=0.25 --set recoloured=0.35 ;;
  painted)
    on_consep painted 900 --start "$RUNS/consep/hovernet.safetensors" --set affine=0.25 --set painted=0.65 \
      --set recoloured=0.15 ;;
  hovernet)
    on_mixture hovernet hovernet 900 recoloured --start "$RUNS/recoloured/hovernet.safetensors" \
      --set learning_rate=1.2e-3 --set validate_every=300 ;;
  wide)
    on_mixture synthetic wide 1200 recoloured --start "$RUNS/painted/hovernet.safetensors" --set validate_every=600 ;;
  synthetic)
    on_mixture synthetic synthetic 1200 hovernet --start "$RUNS/wide/hovernet.safetensors" --set validate_every=300 \
      --set batch_size=16 ;;
  selftrained)
    fold=${2:?which fold: 1, 2 or all}
    # shellcheck disable=SC2046 - several options
    on_mixture selftrained "selftrained-$fold" 500 hovernet --start "$RUNS/synthetic/hovernet.safetensors" \
      --set validate_every=500 --set learning_rate=1.5e-3 --set batch_size=16 $(on_ihc "$fold" synthetic) ;;
  cyclegan)
    fold=${2:?which fold: 1, 2 or all}
    # shellcheck disable=SC2046
    on_mixture cyclegan "cyclegan-$fold" 1340 hovernet --set consistency=3 --set batch_size=4 $(on_ihc "$fold" wide) ;;
  supervised)
    train hovernet "supervised-${2:?which fold: 1 or 2}" 300 --data "$ENDONUKE" --split "data/splits/endonuke_$2.json" \
      --mixed-precision "$PRECISION" --save-every 100 --start "$RUNS/synthetic/hovernet.safetensors" --set map_px=100 \
      --set validate_every=150 --set jitter=0.15 --set ema=0.98 ;;
  fold)
    fold=${2:?which fold: 1, 2 or all}
    mkdir -p "$RUNS/fold-$fold"
    for link in hovernet:hovernet synthetic:synthetic "cyclegan-$fold:cyclegan" "selftrained-$fold:selftrained" \
      "supervised-$fold:supervised"; do
      ln -sfn "../${link%%:*}" "$RUNS/fold-$fold/${link##*:}"
    done ;;
  *)
    sed -n '2,22p' "$0"
    exit 2 ;;
esac
