#!/usr/bin/env bash
# How the shipped and the cross-fit weights are made. One recipe a call, on one CPU core, resumable:
#
#   recipes.sh RECIPE [FOLD]      with CONSEP, ENDONUKE and RUNS naming folders
#
#   consep          HoVer-Net on CoNSeP                                      62 minutes
#   hovernet        ... then with a third of the crops recoloured            31 minutes  (needs consep)
#   synthetic       ... then with most crops painted as IHC                  50 minutes  (needs consep)
#   cyclegan FOLD   EndoNuke IHC to CoNSeP H&E, FOLD 1, 2 or all             22 minutes  (needs hovernet, synthetic)
#   translated FOLD HoVer-Net on CoNSeP as the CycleGAN shows it as IHC      25 minutes  (needs consep, cyclegan FOLD)
#   supervised FOLD HoVer-Net on EndoNuke's own points, a reference          10 minutes  (needs synthetic)
#   selftrained FOLD   ... then on what route cyclegan finds on the fold's IHC  8 minutes  (needs synthetic, cyclegan FOLD)
#   fold FOLD       links the weights of a fold into RUNS/fold-FOLD for `histolib ablate`
#
# STEPS=2 rehearses: every training takes two steps, which shows in minutes whether data, options and paths are right.
# Each peaks below 3 GB. On a GPU the same commands run as they are; the published size is HOVER_WIDTH=1 and
# GENERATOR_WIDTH=64, which was not run here.
set -euo pipefail

: "${CONSEP:=data/consep}" "${ENDONUKE:=data/endonuke}" "${RUNS:=runs}"
: "${HOVER_WIDTH:=0.1875}" "${GENERATOR_WIDTH:=24}" "${PRECISION:=bf16}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

hovernet() { # OUTPUT DATA SPLIT STEPS RATE, then more options
  histolib train hovernet --data "$2" --split "data/splits/$3.json" --profile full --output "$RUNS/$1" --resume \
    --mixed-precision "$PRECISION" --save-every 100 --set width="$HOVER_WIDTH" --set mpp=0.5 --set batch_size=4 \
    --set steps="${STEPS:-$4}" --set learning_rate="$5" "${@:6}"
}

on_consep() { # OUTPUT STEPS RATE, then more options
  hovernet "$1" "$CONSEP" consep "${@:2}"
}

on_points() { # OUTPUT DATA FOLD
  hovernet "$1" "$2" "endonuke_$3" 300 2e-3 --start "$RUNS/synthetic/hovernet.safetensors" --set map_px=100 \
    --set validate_every=150 --set jitter=0.15 --set ema=0.98
}

cyclegan() { # OUTPUT FOLD STEPS, then more options
  histolib train cyclegan --ihc "$ENDONUKE" --he "$CONSEP" --ihc-split "data/splits/endonuke_$2.json" \
    --he-split data/splits/consep.json --output "$RUNS/$1-$2" --resume --set mpp=0.5 --set patch_px=112 \
    --set width="$GENERATOR_WIDTH" --set blocks=6 --set on_od=True --set discriminator_width=32 --set warm_steps=0 \
    --set steps="${STEPS:-$3}" --set lr_generator=2e-4 --set lr_discriminator=5e-5 --set label_smoothing=0.1 --set content=5 \
    --set identity=2 --set ema=0.99 "${@:4}"
}

case "${1:-}" in
  consep)
    on_consep consep 2000 4e-3 --set validate_every=250 --set jitter=0.2 ;;
  hovernet)
    on_consep he 900 2e-3 --start "$RUNS/consep/hovernet.safetensors" --set validate_every=225 --set jitter=0.25 \
      --set recoloured=0.35 ;;
  synthetic)
    on_consep synthetic 900 2e-3 --start "$RUNS/consep/hovernet.safetensors" --set validate_every=225 --set jitter=0.2 \
      --set affine=0.25 --set painted=0.65 --set recoloured=0.15 ;;
  cyclegan)
    fold=${2:?which fold: 1, 2 or all}
    judge=(--detector "$RUNS/he/hovernet.safetensors")
    if [ "$fold" = all ]; then
      cyclegan cyclegan all 750 --save-every 150
      steps=500
    else
      cyclegan cyclegan "$fold" 1050 --save-every 150 --validate-every 150 "${judge[@]}"
      steps=600
    fi
    cyclegan agree "$fold" "$steps" --save-every 100 --validate-every 100 --start "$RUNS/cyclegan-$fold" "${judge[@]}" \
      --agree-with "$RUNS/synthetic/hovernet.safetensors" --set agreement=3 ;;
  translated)
    fold=${2:?which fold: 1, 2 or all}
    on_consep "translated-$fold" 600 2e-3 --start "$RUNS/consep/hovernet.safetensors" --set validate_every=300 \
      --set jitter=0.2 --set affine=0.25 --translate "$RUNS/agree-$fold/he_to_ihc.safetensors" ;;
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
    for link in he:hovernet synthetic:synthetic "agree-$fold:cyclegan" "selftrained-$fold:selftrained" \
      "supervised-$fold:supervised"; do
      ln -sfn "../${link%%:*}" "$RUNS/fold-$fold/${link##*:}"
    done ;;
  *)
    sed -n '2,17p' "$0"
    exit 2 ;;
esac
