"""The `.nac` file: header, blocks of packed codes, editing and checking. Bytes only; the model is not needed.

`header` and `blocks` read and write files, `edit` changes them without decoding, `check` tests them. FORMAT.md
describes every byte.
"""
