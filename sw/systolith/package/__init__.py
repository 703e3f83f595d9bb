"""A core as a folder that somebody else's design takes as a part."""

from .folder import check_folder, package_files, write_package

__all__ = ["check_folder", "package_files", "write_package"]
