"""Fetch onnxruntime-web, pinned, from npm into the user's cache: pages of `lsgen explore RUN decoder=onnx` hold it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from lsgen.explorer.onnx_runtime import FILES, ONNX_RUNTIME, onnx_runtime_directory, onnx_runtime_files


def main() -> int:
    """Write the files and package.json, which names their licence; return 1 where npm is missing."""
    if shutil.which("npm") is None:
        print("expected npm on the PATH, which fetches the pinned package")
        return 1
    target = onnx_runtime_directory()
    with tempfile.TemporaryDirectory() as name:
        command = ["npm", "pack", "--silent", f"onnxruntime-web@{ONNX_RUNTIME}"]
        packed = subprocess.run(command, cwd=name, check=True, capture_output=True, text=True).stdout.split()[-1]
        target.mkdir(parents=True, exist_ok=True)
        with tarfile.open(Path(name, packed)) as archive:
            for member in (*(f"package/dist/{one}" for one in FILES), "package/package.json"):
                content = archive.extractfile(member)
                assert content is not None
                (target / Path(member).name).write_bytes(content.read())
    onnx_runtime_files(target)  # of the pinned bytes
    print(f"{target}: {', '.join(FILES)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
