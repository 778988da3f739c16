import builtins
import collections
import os
import pickle
import zipfile

import numpy as np
import pytest

from kgen.torch_checkpoint import read_torch_checkpoint


@pytest.fixture(params=["legacy", "zip"])
def save(request, tmp_path):
    """A function that has torch write something, and gives the file."""
    torch = pytest.importorskip("torch")

    def write(content):
        path = tmp_path / "checkpoint.pth"
        torch.save(content, path, _use_new_zipfile_serialization=request.param == "zip")
        return path

    return write


def test_reads_what_torch_reads(save):
    torch = pytest.importorskip("torch")
    base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    state = {"plain": base, "transposed": base.permute(2, 0, 1), "part": base[1, ::2, 1:3], "empty": base[:0]}
    state["scalar"] = torch.tensor(7)
    for dtype in ("float64", "float16", "int32", "int16", "int8", "uint8", "bool"):
        state[dtype] = torch.tensor([[1, 0, 3]], dtype=getattr(torch, dtype))
    path = save(state | {"bfloat16": torch.tensor([[1, 0, 3]], dtype=torch.bfloat16)})
    wanted, found = torch.load(path), read_torch_checkpoint(path)
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        tensor = tensor.float() if name == "bfloat16" else tensor
        assert found[name].dtype == tensor.numpy().dtype and found[name].shape == tuple(tensor.shape)
        np.testing.assert_array_equal(found[name], tensor.numpy())
    found["part"][:] = -1  # every array is one's own
    assert found["plain"].min() == 0


def test_reads_the_state_of_a_module(save):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    found = read_torch_checkpoint(str(save(module.state_dict())))
    for name, tensor in module.state_dict().items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


def test_refuses_more_than_tensors(save):
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="asks for torch.nn.modules.linear.Linear"):
        read_torch_checkpoint(save(torch.nn.Linear(2, 2)))
    with pytest.raises(ValueError, match="expected a state dict"):
        read_torch_checkpoint(save({"epoch": 3, "weights": {"a": torch.zeros(2)}}))
    with pytest.raises(ValueError, match="expected a state dict"):
        read_torch_checkpoint(save([torch.zeros(2)]))


def test_every_truncation_is_refused(save):
    torch = pytest.importorskip("torch")
    path = save({"a": torch.arange(1000.0), "b": torch.arange(5)})
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="could not read"):
            read_torch_checkpoint(path)


class Evil:
    def __init__(self, function, *arguments):
        self.what = function, arguments

    def __reduce__(self):
        return self.what


def legacy_file(path, content, keys=(), system=None):
    parts = [0x1950A86A20F9469CFC6C, 1001, system or {"little_endian": True}, content, list(keys)]
    path.write_bytes(b"".join(part if isinstance(part, bytes) else pickle.dumps(part, 2) for part in parts))
    return path


@pytest.mark.parametrize("first", [False, True])
def test_runs_no_code(tmp_path, first):
    told = tmp_path / "was_run"
    evil = Evil(os.mkdir, str(told))
    path = legacy_file(tmp_path / "evil.pth", {"a": evil})
    if first:
        path.write_bytes(pickle.dumps(evil, 2))
    with pytest.raises(ValueError, match="not written by torch.save" if first else "asks for (posix|nt).mkdir"):
        read_torch_checkpoint(path)
    assert not told.exists()
    pickle.loads(pickle.dumps(evil))
    assert told.exists()


@pytest.mark.parametrize("function", [builtins.eval, builtins.getattr, collections.Counter])
def test_refuses_what_it_does_not_know(tmp_path, function):
    with pytest.raises(ValueError, match=f"asks for .*{function.__name__}"):
        read_torch_checkpoint(legacy_file(tmp_path / "evil.pth", Evil(function, "1")))


def numbers_file(path, offset=0, shape=(2, 2), strides=(2, 1), view="N"):
    """A legacy file by hand: one storage of the numbers 0 to 3, and one tensor that shows some of them."""
    storage = f"((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\4{view}tQ".encode()
    others = b"".join(pickle.dumps(n, 2)[2:-1] for n in (offset, shape, strides))
    content = b"\x80\2}X\1\0\0\0actorch._utils\n_rebuild_tensor_v2\n" + storage + others + b"tRs."
    legacy_file(path, content, ["0"])
    with open(path, "ab") as file:
        file.write((4).to_bytes(8, "little") + np.arange(4, dtype="<f4").tobytes())
    return path


@pytest.mark.parametrize(
    "offset, shape, strides",
    [(1, (4,), (1,)), (0, (2, 2), (3, 1)), (0, (5,), (1,)), (-1, (2,), (1,)), (2, (2,), (-1,)), (0, (2, 2), (1,))],
)
def test_tensors_stay_in_their_storage(tmp_path, offset, shape, strides):
    path = tmp_path / "numbers.pth"
    np.testing.assert_array_equal(read_torch_checkpoint(numbers_file(path))["a"], [[0, 1], [2, 3]])
    with pytest.raises(ValueError, match="reaches beyond its storage of 4 numbers"):
        read_torch_checkpoint(numbers_file(path, offset, shape, strides))


def test_storages_are_whole_and_plain(tmp_path):
    path = numbers_file(tmp_path / "numbers.pth")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match="truncated: storage 0 has 13 of 16 bytes"):
        read_torch_checkpoint(path)
    with pytest.raises(ValueError, match="not the plain storage"):
        read_torch_checkpoint(numbers_file(path, view="K\1"))


def test_refuses_other_byte_orders(tmp_path):
    path = legacy_file(tmp_path / "legacy.pth", {}, system={"little_endian": False})
    with pytest.raises(ValueError, match="big-endian"):
        read_torch_checkpoint(path)
    for order in ("little", "big"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps({}, 2))
            archive.writestr("archive/byteorder", order)
        if order == "little":
            assert read_torch_checkpoint(path) == {}
    with pytest.raises(ValueError, match="big-endian"):
        read_torch_checkpoint(path)


def test_other_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_torch_checkpoint(tmp_path / "missing.pth")
    other = tmp_path / "other.pth"
    other.write_bytes(b"\x89PNG and so on")
    with pytest.raises(ValueError, match="not written by torch.save"):
        read_torch_checkpoint(other)
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="zip archive, but was not written by torch.save"):
        read_torch_checkpoint(tmp_path / "other.npz")
