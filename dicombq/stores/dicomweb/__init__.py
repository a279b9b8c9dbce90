"""DICOMweb servers (PS3.18): QIDO-RS lists, WADO-RS reads, STOW-RS stores."""
