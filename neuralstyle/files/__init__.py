"""Paths of files: checked before the work, held while it lasts, written completely or not at all."""

from neuralstyle.files.folders import check_writable
from neuralstyle.files.gate import Read, Write, check_no_others, check_paths, check_target, is_same_file
from neuralstyle.files.holding import holding
from neuralstyle.files.numbered import NumberedFiles
from neuralstyle.files.writing import elsewhere, is_temporary, somewhere, writing

__all__ = [
    "NumberedFiles",
    "Read",
    "Write",
    "check_no_others",
    "check_paths",
    "check_target",
    "check_writable",
    "elsewhere",
    "holding",
    "is_same_file",
    "is_temporary",
    "somewhere",
    "writing",
]
