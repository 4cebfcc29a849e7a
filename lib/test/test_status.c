/* Unit tests of lib/src/status.c: each status has words of its own.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <limits.h>

#include "support.h"

static const int statuses[] = {IOBUF_OK,      IOBUF_EINVAL, IOBUF_ENOMEM, IOBUF_ELIMIT, IOBUF_EOVERFLOW,
                               IOBUF_ECLOSED, IOBUF_EOF,    IOBUF_EAGAIN, IOBUF_EIO};

static void status_values_are_those_of_the_abi(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(statuses); i++)
        assert_int_equal(statuses[i], -(int)i);
}

static void every_status_has_words_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        assert_non_null(iobuf_strerror(statuses[i]));
        assert_true(iobuf_strerror(statuses[i])[0] != '\0');
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(iobuf_strerror(statuses[i]), iobuf_strerror(statuses[j]));
    }
}

static void what_is_no_status_has_words_too(void **state)
{
    (void)state;
    const int others[] = {1, -9, 1000, -1000, INT_MAX, INT_MIN};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        assert_non_null(iobuf_strerror(others[i]));
        for (size_t j = 0; j < COUNT_OF(statuses); j++)
            assert_string_not_equal(iobuf_strerror(others[i]), iobuf_strerror(statuses[j]));
    }
}

static void the_words_are_static(void **state)
{
    (void)state;
    const char *first = iobuf_strerror(IOBUF_EOF);
    (void)iobuf_strerror(IOBUF_EIO);
    (void)iobuf_strerror(12345);
    assert_ptr_equal(iobuf_strerror(IOBUF_EOF), first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_values_are_those_of_the_abi),
        cmocka_unit_test(every_status_has_words_of_its_own),
        cmocka_unit_test(what_is_no_status_has_words_too),
        cmocka_unit_test(the_words_are_static),
    };
    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
