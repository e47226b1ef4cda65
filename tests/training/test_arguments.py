"""Options of a command line beside those that a checkpoint was made with."""

import pytest

from common.adaptation.options import add_dua_arguments
from common.errors import DuaError
from common.training.arguments import adopt_arguments, parse_arguments, recorded_arguments, training_parser
from common.training.networks import add_network_arguments


def parsed(*words, network=None, **set_later):
    """Options of `train_surreal.py`, or those of a script with one network."""
    parser = training_parser("", checkpoint="checkpoint", epochs=10, surreal=True)
    add_network_arguments(parser, network)
    if network is None:
        add_dua_arguments(parser, in_domain=True)
    args = parse_arguments(parser, list(words))
    for name, value in set_later.items():
        setattr(args, name, value)
    return args


def refusal(trained, words, resume=True, **options):
    """The error of a command line for a run that was trained with `trained`."""
    with pytest.raises(DuaError) as caught:
        adopt_arguments(parsed(*words, **options), recorded_arguments(parsed(*trained, **options)), "RUN", resume)
    return str(caught.value)


@pytest.mark.parametrize(
    ("trained", "words", "options"),
    [
        ([], ["--hid_dim", "1024", "--num_layers", "2", "--dropout", "0.5"], {"network": "martinez"}),
        ([], ["--hid_dim", "128", "--num_layers", "4", "--dropout", "0"], {"network": "semgcn"}),
        (["--network", "semgcn"], ["--hid_dim", "128"], {}),
        ([], ["--uncertainty_weight", "0.001"], {"dua": True}),
        ([], ["--uncertainty_weight", "0.1"], {"dua": False}),
        (["--hid_dim", "64", "--align", "gpa"], ["--hid_dim", "64", "--align", "gpa"], {}),
    ],
)
def test_what_a_run_left_at_its_default_may_be_given_when_it_goes_on(trained, words, options):
    args = parsed(*words, **options)
    before = dict(vars(args))
    adopt_arguments(args, recorded_arguments(parsed(*trained, **options)), "RUN", resume=True)
    assert {name: getattr(args, name) for name in args.given} == {name: before[name] for name in args.given}


@pytest.mark.parametrize(
    ("trained", "words", "message", "options"),
    [
        ([], ["--hid_dim", "64"], "--hid_dim 64 differs from RUN, which was trained with 1024; leave it out", {}),
        (["--network", "semgcn"], ["--hid_dim", "1024"], "--hid_dim 1024 differs from RUN, which was trained with 128;", {}),
        ([], ["--num_layers", "3"], "--num_layers 3 differs from RUN, which was trained with 2;", {}),
        ([], ["--dropout", "0.25"], "--dropout 0.25 differs from RUN, which was trained with 0.5;", {}),
        ([], ["--uncertainty_weight", "0.1"], "--uncertainty_weight 0.1 differs from RUN, which was trained with 0.001;", {"dua": True}),
        ([], ["--limit_batches", "5"], "--limit_batches 5 differs from RUN, which was trained without it;", {}),
        ([], ["--align", "canonical", "gpa"], "--align canonical gpa differs from RUN, which was trained without it;", {}),
        (["--align", "gpa"], ["--align", "canonical"], "--align canonical differs from RUN, which was trained with gpa;", {}),
        ([], ["--no_max"], "--no_max differs from RUN, which was trained without it;", {}),
        ([], ["--no_converter"], "--no_converter differs from RUN, which was trained without it;", {}),
        ([], ["--augment"], "--augment differs from RUN, which was trained without it;", {}),
    ],
)  # fmt: skip
def test_a_difference_is_told_in_the_words_of_a_command_line_and_with_the_numbers_in_use(trained, words, message, options):
    assert refusal(trained, words, **options).startswith(message)


def test_a_test_cannot_make_another_network_of_a_checkpoint():
    assert (
        refusal([], ["--hid_dim", "64"], resume=False)
        == "--hid_dim 64 differs from RUN, which was trained with 1024; leave it out"
    )
    assert "--non_local differs" in refusal(["--network", "semgcn"], ["--non_local"], resume=False)
    adopt_arguments(parsed("--hid_dim", "1024", "--dropout", "0.1"), recorded_arguments(parsed()), "RUN", resume=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--schedule", "fast", "--lr_decay", "9"], "--lr_decay is of --schedule published, and this is --schedule fast"),
        (["--schedule", "fast", "--lr_gamma", "0.9"], "--lr_gamma is of --schedule published, and this is --schedule fast"),
        (["--lr_fall", "linear"], "--lr_fall is of --schedule fast, and this is --schedule published"),
    ],
)
def test_an_option_of_the_other_schedule_is_refused(words, said):
    with pytest.raises(DuaError, match=said):
        parsed(*words)


def test_what_a_script_does_not_read_it_neither_offers_nor_takes(capsys):
    def parser():
        return training_parser("", checkpoint="checkpoint/made", epochs=1)

    with pytest.raises(DuaError, match=r"^--keypoints, --compile: of no use to "):
        parse_arguments(parser(), ["--compile", "-k", "gt"], unread=("keypoints", "compile"))
    assert parse_arguments(parser(), [], unread=("keypoints", "compile")).keypoints == "gt"
    with pytest.raises(SystemExit):
        parse_arguments(parser(), ["--help"], unread=("keypoints",))
    said = capsys.readouterr().out
    assert "--actions" in said
    assert "--keypoints" not in said


def test_a_fast_run_is_as_long_as_its_share_in_epochs_of_one_length():
    """0.1175 of 10 epochs are two of 0.5875; who says how many epochs has whole ones."""
    semgcn = {"network": "semgcn"}
    fast = parsed("--schedule", "fast", **semgcn)
    assert fast.epochs * fast.epoch_share == pytest.approx(0.1175 * 10, abs=1e-3)
    assert fast.epochs == 2
    assert parsed("--schedule", "fast", "--epochs", "3", **semgcn).epoch_share == 1
    assert parsed("--schedule", "fast", "--epoch_share", "0.5", **semgcn).epoch_share == 0.5
    assert parsed(**semgcn).epoch_share == 1


@pytest.mark.parametrize("share", ["0", "1.5", "nan"])
def test_an_epoch_is_a_share_of_the_batches(share):
    with pytest.raises(DuaError, match=rf"--epoch_share {share}: more than 0 and at most 1"):
        parsed("--epoch_share", share)
