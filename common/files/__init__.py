"""Files alone: writing that is never half done, reading that runs nothing, locks and sets of files.

Here belongs whatever would be as useful in another project: it knows bytes, arrays and formats, but no pose and no network.
What a file's numbers mean is said where they are used: `datasets` for prepared data, `training` for checkpoints.
"""
