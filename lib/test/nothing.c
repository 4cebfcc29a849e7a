/* Shows at configure time whether a program of the target runs here. */
int main(void)
{
    return 0;
}
