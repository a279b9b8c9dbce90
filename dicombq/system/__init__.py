"""What the machine gives: files, locks, signals, the time. It knows no DICOM."""
