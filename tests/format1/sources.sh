# SPDX-License-Identifier: BSD-3-Clause
# For build and make: the sources of the last commit that made segments of format 1. `here` is this folder.

# unpack FOLDER: exit status 77 without the history of the project.
unpack() {
	local commit=0381c82 top
	top=$(git -C "$here" rev-parse --show-toplevel 2>/dev/null) &&
		git -C "$top" rev-parse --verify --quiet "$commit^{commit}" >/dev/null || {
		echo "the history of the project is not here" >&2
		exit 77
	}
	# Of a folder in the repository, git archive would take that folder only.
	git -C "$top" archive "$commit" | tar -x -C "$1"
}
