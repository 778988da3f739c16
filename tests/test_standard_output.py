import warnings

from kgen.standard_output import results_only


def test_what_work_says_goes_to_standard_error_and_results_do_not(capsys):
    with results_only():
        print("working")
        warnings.warn("this is odd", stacklevel=1)
    print("result")
    out, err = capsys.readouterr()
    assert out == "result\n" and err == "working\nNote: this is odd\n"
