"""Bundle the JavaScript that the explorer draws with: pinned versions from npm, one minified file, their licences."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSIONS = {
    "@flekschas/utils": "0.33.0",
    "camera-2d-simple": "3.0.0",
    "dom-2d-camera": "2.2.6",
    "earcut": "3.2.4",
    "gl-matrix": "3.4.4",
    "pub-sub-es": "3.0.0",
    "regl": "2.1.1",
    "regl-line": "1.1.1",
    "regl-scatterplot": "1.16.0",
}
ESBUILD = "0.28.2"
ENTRY = 'export { createRenderer, default as scatterplot } from "regl-scatterplot";\n'
TARGET = Path(__file__).resolve().parents[1] / "lsgen" / "explorer" / "vendor"


def main() -> int:
    """Write bundle.js and LICENSES.txt; return 1 where npm is missing."""
    if shutil.which("npm") is None:
        print("expected npm on the PATH, which fetches the pinned packages")
        return 1
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        package = {"private": True, "dependencies": VERSIONS, "devDependencies": {"esbuild": ESBUILD}}
        (room / "package.json").write_text(json.dumps(package))
        (room / "entry.js").write_text(ENTRY)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=room, check=True)
        flags = ["--bundle", "--minify", "--format=iife", "--global-name=lsgenVendor", "--target=es2020"]
        flags += ["--legal-comments=none", "--charset=utf8", "--outfile=bundle.js"]
        subprocess.run(["node_modules/.bin/esbuild", "entry.js", *flags], cwd=room, check=True)
        TARGET.mkdir(parents=True, exist_ok=True)
        text = (room / "bundle.js").read_text().replace("</script", "<\\/script")
        (TARGET / "bundle.js").write_text(text)
        (TARGET / "LICENSES.txt").write_text("\n".join(map(licence, sorted((room / "node_modules").rglob("LICEN*")))))
    print(f"{TARGET / 'bundle.js'}: {len(text):,} characters")
    return 0


def licence(path: Path) -> str:
    """Return what a package is called, its version and its licence."""
    about = json.loads((path.parent / "package.json").read_text())
    if about["name"] not in VERSIONS:
        return ""
    return f"{about['name']} {about['version']} ({about['license']})\n\n{path.read_text().strip()}\n\n{'=' * 80}\n"


if __name__ == "__main__":
    sys.exit(main())
