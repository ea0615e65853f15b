#!/usr/bin/env bash
# Trains the pretrained and the cross-fit weights. One recipe per call, on one CPU core, resumable:
#
#   recipes.sh RECIPE [FOLD]      with the environment variables CONSEP, ENDONUKE and RUNS naming folders
#
#   consep             HoVer-Net on CoNSeP                                       62 minutes
#   hovernet           fine-tuned with a third of the crops recoloured           31 minutes  (needs consep)
#   synthetic          fine-tuned with most crops painted as IHC                 50 minutes  (needs consep)
#   cyclegan FOLD      EndoNuke IHC to CoNSeP H&E; FOLD is 1, 2 or all           22 minutes  (needs hovernet, synthetic)
#   supervised FOLD    synthetic, fine-tuned on EndoNuke's points (reference)    10 minutes  (needs synthetic)
#   selftrained FOLD   synthetic, fine-tuned on detections of route cyclegan      8 minutes  (needs synthetic, cyclegan FOLD)
#   fold FOLD          links to the weights of a fold, for histolib.experiments.compare_routes
#
# Settings come from `--profile pretrained` (histolib/config.py); the commands below list only the differences.
# STEPS=2 limits every training to two steps, which checks data, options and paths within minutes.
# Memory stays below 3 GB.
set -euo pipefail

: "${CONSEP:=data/consep}" "${ENDONUKE:=data/endonuke}" "${RUNS:=runs}" "${PRECISION:=bf16}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

train() { # NETWORK OUTPUT STEPS, then more options
  histolib train "$1" --profile pretrained --output "$RUNS/$2" --resume --set steps="${STEPS:-$3}" "${@:4}"
}

on_consep() { # OUTPUT STEPS, then more options
  train hovernet "$1" "$2" --data "$CONSEP" --split data/splits/consep.json --mixed-precision "$PRECISION" \
    --save-every 100 "${@:3}"
}

on_points() { # OUTPUT DATA FOLD
  train hovernet "$1" 300 --data "$2" --split "data/splits/endonuke_$3.json" --mixed-precision "$PRECISION" \
    --save-every 100 --start "$RUNS/synthetic/hovernet.safetensors" --set map_px=100 --set validate_every=150 \
    --set jitter=0.15 --set ema=0.98
}

translate() { # OUTPUT FOLD STEPS, then more options
  train cyclegan "$1-$2" "$3" --ihc "$ENDONUKE" --he "$CONSEP" --ihc-split "data/splits/endonuke_$2.json" \
    --he-split data/splits/consep.json "${@:4}"
}

case "${1:-}" in
  consep)
    on_consep consep 2000 --set learning_rate=4e-3 --set validate_every=250 ;;
  hovernet)
    on_consep he 900 --start "$RUNS/consep/hovernet.safetensors" --set jitter=0.25 --set recoloured=0.35 ;;
  synthetic)
    on_consep synthetic 900 --start "$RUNS/consep/hovernet.safetensors" --set affine=0.25 --set painted=0.65 \
      --set recoloured=0.15 ;;
  cyclegan)
    fold=${2:?which fold: 1, 2 or all}
    detector=(--detector "$RUNS/he/hovernet.safetensors")
    if [ "$fold" = all ]; then # no tiles are left for validation
      translate cyclegan all 750 --save-every 150
      steps=500
    else
      translate cyclegan "$fold" 1050 --save-every 150 "${detector[@]}"
      steps=600
    fi
    translate consistent "$fold" "$steps" --save-every 100 --start "$RUNS/cyclegan-$fold" "${detector[@]}" \
      --consistency "$RUNS/synthetic/hovernet.safetensors" --set consistency=3 ;;
  supervised)
    on_points "supervised-${2:?which fold: 1 or 2}" "$ENDONUKE" "$2" ;;
  selftrained)
    fold=${2:?which fold: 1, 2 or all}
    bash "$0" fold "$fold"
    labels="$RUNS/pseudo-$fold/dataset/labels/bulk/cyclegan"
    mkdir -p "$labels"
    histolib detect "$ENDONUKE/dataset/images" --mpp 0.5 --route cyclegan --weights "$RUNS/fold-$fold" --format txt \
      --output "$labels"
    ln -sfn "$(realpath "$ENDONUKE")/dataset/images" "$RUNS/pseudo-$fold/dataset/images"
    on_points "selftrained-$fold" "$RUNS/pseudo-$fold" "$fold" ;;
  fold)
    fold=${2:?which fold: 1, 2 or all}
    mkdir -p "$RUNS/fold-$fold"
    for link in he:hovernet synthetic:synthetic "consistent-$fold:cyclegan" "selftrained-$fold:selftrained" \
      "supervised-$fold:supervised"; do
      ln -sfn "../${link%%:*}" "$RUNS/fold-$fold/${link##*:}"
    done ;;
  *)
    sed -n '2,15p' "$0"
    exit 2 ;;
esac
