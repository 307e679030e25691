package thaw

const childDir = "ISOTHERM_THAW_TEST_DIR"

func child(dir string) int { return 0 }
