"""DUA with Human3.6M as source and SURREAL as target: labels of Human3.6M, 2D joints of both.

    python train_h36m_dan.py --epochs 200 --checkpoint 'checkpoint/h36_dua/'
    python train_h36m_dan.py --data_dir data/demo --epochs 6             # open demo data
    python train_h36m_dan.py --no_converter --no_uncertainty --no_domain # no adaptation
    python train_h36m_dan.py --domain_weight 0                           # control: target batches, no adversary
    python train_h36m_dan.py --evaluate checkpoint/h36m_dua/<run>

Manesco et al., Sensors 2023, 23(17), 7312. The network learns Human3.6M's skeleton; SURREAL's labels pass through the pose
converter before errors are counted, and the error against the raw labels is printed beside. Nothing in training sees a label
of SURREAL: `load_surreal_2d` does not open them, and the best epoch is chosen on Human3.6M.
"""

import torch

from common.arguments import parse_arguments, training_parser
from common.batches import DomainBatches, ShuffledBatches
from common.converter import convert_labels, find_or_train_converter
from common.dua import add_dua_arguments, dua_descriptions, dua_loss, select_validation
from common.errors import run_script
from common.experiment import Experiment
from common.h36m_dataset import TRAIN_SUBJECTS, load_h36m
from common.networks import add_network_arguments
from common.poses import split_validation
from common.surreal_dataset import load_surreal, load_surreal_2d


def main() -> None:
    parser = training_parser(__doc__, checkpoint="checkpoint/h36m_dua", epochs=200)
    add_network_arguments(parser)
    add_dua_arguments(parser)
    args = parse_arguments(parser)

    run = Experiment("h36m_dua", args, network=None)
    # Test labels are read now, so that a missing file is known before hours of training; only `report` sees them.
    raw = load_surreal(args.data_dir, "test", args.smpl_shoulders, args.downsample)
    tests = {"surreal, raw labels": raw}
    if args.converter_on:
        found = run.stored("converter") or find_or_train_converter(args.converter, "h36m", args)
        converter = run.freeze("converter", *found)
        tests = {"surreal, labels converted to h36m": convert_labels(raw, converter), **tests}
    if args.evaluate:
        run.report(tests)
        return

    poses = load_h36m(args.data_dir, args.keypoints, TRAIN_SUBJECTS, args.actions, args.downsample)
    train, validation = (split.to(run.device) for split in split_validation(poses))
    batches: ShuffledBatches | DomainBatches
    batches = source = ShuffledBatches(train.inputs_2d, train.targets_3d, batch_size=args.batch_size, seed=args.seed)
    sizes = {"source_train": len(train), "source_validation": len(validation)}
    if args.domain_on:
        target = load_surreal_2d(args.data_dir, "train", args.smpl_shoulders, args.downsample).to(run.device)
        batches = DomainBatches(source, ShuffledBatches(target.inputs_2d, batch_size=args.batch_size, seed=args.seed, stream=1))
        sizes["target_train_2d"] = len(target)
        print(batches.describe())

    networks = run.networks(**dua_descriptions(args))

    def loss(batch: tuple[torch.Tensor, ...], step: int) -> dict[str, torch.Tensor]:
        return dua_loss(args, networks, batch, step)

    validate = select_validation(args, run, networks, source=validation, target=next(iter(tests.values())))
    run.train(batches, loss, validate, skeleton="h36m", source="h36m", target="surreal", **sizes)
    run.report(tests)


if __name__ == "__main__":
    run_script(main)
